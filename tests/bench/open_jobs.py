"""Many open jobs at providers, as rows: running tasks whose invocation waits for the poller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from abilities.models import Ability, Invocation, Task
from executors.models import Executor, Lease
from podi.base.ids import new_ref
from podi.base.models import User


def seed(*, ability_id: str, executor_ids: list[str], per_executor: int) -> dict[str, list[str]]:
    """Running tasks with a lease and a waiting invocation; the refs by executor. One transaction."""
    ability = Ability.objects.get(pk=ability_id)
    owner = User.objects.get(username="bench-client")
    refs: dict[str, list[str]] = {}
    with transaction.atomic():
        for executor in Executor.objects.filter(pk__in=executor_ids):
            now = timezone.now()
            tasks = [_task(ability, owner, executor, now) for _ in range(per_executor)]
            Task.objects.bulk_create(tasks, batch_size=200)
            rows = [_invocation(task, executor, now) for task in tasks]
            Invocation.objects.bulk_create(rows, batch_size=200)
            Lease.objects.bulk_create(
                [
                    Lease(executor=executor, holder=task.pk, place=number, slot=number, started_at=now)
                    for number, task in enumerate(tasks, 1)
                ],
                batch_size=200,
            )
            refs[executor.pk] = [row.ref for row in rows]
    return refs


def read_delays(*, ends: dict[str, float]) -> dict[str, Any]:
    """Seconds between the end at the node (by ref) and the moment PODI noticed, and until the task was stored."""
    noticed, stored = [], []
    rows = Invocation.objects.filter(ref__in=list(ends), done_at__isnull=False).values_list(
        "ref", "done_at", "finished_at"
    )
    for ref, done_at, finished_at in rows:
        end = datetime.fromtimestamp(ends[ref], UTC)
        noticed.append((done_at - end).total_seconds())
        if finished_at is not None:
            stored.append((finished_at - end).total_seconds())
    return {"noticed": sorted(noticed), "stored": sorted(stored), "expected": len(ends)}


def _task(ability: Ability, owner: User, executor: Executor, now: datetime) -> Task:
    return Task(
        ability=ability,
        ability_name=ability.display_name,
        provider="comfyui",
        capability_key=ability.capability_key,
        owner=owner,
        state=Task.State.RUNNING,
        attempt=1,
        executor=executor,
        inputs={"values": {}, "files": []},
        definition={"metadata": ability.metadata, "workflow_id": ability.workflow_id, "expected_outputs": 1},
        created_at=now,
        started_at=now,
        deadline_at=now + timedelta(hours=1),
    )


def _invocation(task: Task, executor: Executor, now: datetime) -> Invocation:
    return Invocation(
        task=task,
        attempt=1,
        ability_id=task.ability_id,
        ability_provider=task.provider,
        capability_key=task.capability_key,
        executor=executor,
        executor_type="comfyui",
        source=task.source,
        request_id=task.request_id,
        step=Invocation.Step.WAITING,
        ref=new_ref(),
        sent_at=now,
        accepted_at=now,
        next_poll_at=now,
        created_at=now,
    )
