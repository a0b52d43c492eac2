"""Old tasks: they stay, and they cost the new ones nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from abilities import runner, services
from abilities.models import Invocation, Task
from podi.base.models import User
from tests.abilities.conftest import Api
from tests.abilities.rig import Rig, accepted
from tests.abilities.stage import create, fresh, make_ability, make_executor, turn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rigs")]


def test_R6_a_task_that_runs_for_more_than_a_day_is_never_deleted_and_ends_with_a_reason(user: User) -> None:
    make_executor()
    Rig.script[:] = [accepted()]
    task = create(user, make_ability(), deadline_s=3 * 24 * 3600)
    turn()
    Task.objects.filter(pk=task.pk).update(
        created_at=timezone.now() - timedelta(hours=25), updated_at=timezone.now() - timedelta(hours=25)
    )
    turn()
    assert fresh(task).state == "running"
    Task.objects.filter(pk=task.pk).update(deadline_at=timezone.now())
    turn()
    assert (fresh(task).state, fresh(task).error_code) == ("failed", "TASK_TIMEOUT")


def test_R30_lists_and_sweeps_ask_the_same_few_questions_however_many_tasks_lie_there(user: User, api: Api) -> None:
    make_executor(queue_limit=100)
    ability = make_ability()

    def cost() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as listed:
            rows = list(services.tasks_of(user)[:20])
            services.log_ids_of(rows)
        assert not any("GROUP BY" in q["sql"] and '"tasks"' in q["sql"] for q in listed.captured_queries)
        with CaptureQueriesContext(connection) as swept:
            runner.sweep()
        return len(listed), len(swept)

    def add_old(count: int) -> None:
        old = timezone.now() - timedelta(days=9)
        tasks = [
            Task(ability=ability, provider="rig", owner=user, state="succeeded", created_at=old, deadline_at=old)
            for _ in range(count)
        ]
        Task.objects.bulk_create(tasks)
        Invocation.objects.bulk_create(
            Invocation(task=task, attempt=1, step="closed", status="success", created_at=old) for task in tasks
        )

    add_old(1)
    few = cost()
    add_old(300)
    assert cost() == few
    assert len(api.get("/api/ability-tasks?limit=200").json()["items"]) == 200
