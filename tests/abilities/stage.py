"""A stage for the rig: an executor, an ability, tasks, and time that can be moved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from abilities import runner, services
from abilities.models import Ability, Invocation, Task
from executors.models import Executor
from executors.pool import leases
from podi.base.models import User
from tests.flows.driver import work_off

PAST = timedelta(days=1)


def make_executor(pk: str = "rig_a", kind: str = "rig", **more: Any) -> Executor:
    values = {"name": pk, "type": kind, "status": "active", "max_concurrency": 1, "base_url": "http://rig.invalid"}
    row = Executor.objects.create(pk=pk, **(values | more))
    leases.make_turn(kind)
    return row


def make_ability(kind: str = "rig", **more: Any) -> Ability:
    values: dict[str, Any] = {
        "ability_id": f"{kind}_paint",
        "provider": kind,
        "category": "image_generation",
        "capability_key": "paint",
        "display_name": "Rig · 画",
        "status": "active",
        "input_schema": {
            "fields": [{"name": "prompt", "type": "text"}, {"name": "count", "type": "number", "default": 1, "min": 1}]
        },
        "metadata": {"action": "paint", "outputs": {"images": "count"}},
    }
    return services.create_ability(None, **(values | more))


def create(actor: User, ability: Ability, *, once: services.Once | None = None, **call: Any) -> Task:
    call = {"inputs": {"prompt": "a cup"}, **call}
    prepared = services.prepare(ability.id, services.Call(**call))
    return services.create_task(actor, prepared, source=Task.Source.TASK, once=once).task


def let_pass(task: Task | None = None) -> None:
    """No pause is left: what was to be tried or asked later is due now."""
    tasks = Task.objects.filter(pk=task.pk) if task else Task.objects.all()
    tasks.filter(not_before__isnull=False).update(not_before=timezone.now())
    tasks.update(rung_at=None)
    Invocation.objects.filter(next_poll_at__isnull=False).update(next_poll_at=timezone.now())
    Executor.objects.filter(paused_until__isnull=False).update(paused_until=timezone.now())


def pass_deadline(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))


def kill_holder(invocation: Invocation) -> None:
    """The process that answered for it is dead, and its claim has run out."""
    Invocation.objects.filter(pk=invocation.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))


def turn(polling: runner.Polling | None = None) -> None:
    """One round of everything: jobs, polls, sweep, jobs."""
    work_off()
    if polling is not None:
        polling.step()
        for done in list(polling._open.values()):
            done.future.exception(timeout=5)
        polling.step()
    runner.sweep()
    work_off()


def fresh(task: Task) -> Task:
    return Task.objects.get(pk=task.pk)
