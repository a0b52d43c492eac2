"""Finds what a dead process or a lost ring left behind, and does the one thing that is safe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from abilities import doorbell, lifecycle
from abilities.errors import Interrupted, ProviderForgot
from abilities.models import Invocation, Task
from abilities.runner.endings import BACKOFF_S, problem_of, timed_out
from abilities.runner.send import submit_unknown
from executors import services as executors

RING_AGAIN_S = 5.0
"""A queued task that was rung and not claimed for this long is rung again."""
BATCH = 200


def sweep() -> int:
    """One pass over everything that should have moved. Returns how much; safe in any number of processes."""
    now = timezone.now()
    return _ring_queued(now) + _end_overdue(now) + _recover_sending(now) + _ring_collecting(now)


def lost(task: Task, invocation: Invocation) -> None:
    """The provider surely does not know this work: send it again where that is safe, else end it."""
    provider = executors.provider_class(task.provider)
    if task.cancel_requested_at:
        lifecycle.cancel(task, invocation)
    elif provider.chooses_ref and task.attempt < task.max_attempts:
        _again(task, invocation)
    else:
        lifecycle.fail(task, invocation, problem_of(ProviderForgot))


def _again(task: Task, invocation: Invocation) -> None:
    pause_s = BACKOFF_S[min(task.attempt - 1, len(BACKOFF_S) - 1)]
    lifecycle.requeue(
        task,
        invocation,
        problem=problem_of(Interrupted),
        status=Invocation.Status.INTERRUPTED,
        not_before=timezone.now() + timedelta(seconds=pause_s),
        avoided_executor_ids=list(task.avoided_executor_ids or []),
    )


def _ring_queued(now: datetime) -> int:
    """Queued tasks whose ring was lost, or whose pause is over; most urgent first."""
    due = Q(not_before=None) | Q(not_before__lte=now)
    unheard = Q(rung_at=None) | Q(rung_at__lt=now - timedelta(seconds=RING_AGAIN_S))
    ids = list(
        Task.objects.filter(due & unheard, state=Task.State.QUEUED, deadline_at__gt=now)
        .order_by("-priority", "created_at")
        .values_list("id", flat=True)[:BATCH]
    )
    rung = 0
    for task_id in ids:
        if Task.objects.filter(unheard, pk=task_id, state=Task.State.QUEUED).update(rung_at=now):
            doorbell.ring_dispatch(task_id)
            rung += 1
    return rung


def _end_overdue(now: datetime) -> int:
    """Tasks past their deadline. What still runs at a provider is asked to stop; its slot is free again."""
    open_states = (Task.State.QUEUED, Task.State.RUNNING)
    overdue = list(Task.objects.filter(state__in=open_states, deadline_at__lte=now).order_by("deadline_at")[:BATCH])
    for task in overdue:
        invocation = task.invocations.filter(attempt=task.attempt).exclude(step=Invocation.Step.CLOSED).first()
        if task.state == Task.State.RUNNING and invocation and invocation.step == Invocation.Step.WAITING:
            _stop_at_provider(task, invocation)
        lifecycle.fail(task, invocation, timed_out())
    return len(overdue)


def _stop_at_provider(task: Task, invocation: Invocation) -> None:
    doorbell.ring_stop(task.provider, invocation.executor_id or "", invocation.api_key_id or "", invocation.ref)


def _recover_sending(now: datetime) -> int:
    """Invocations whose process died between claim and answer."""
    stale = list(
        Invocation.objects.select_related("task")
        .filter(step=Invocation.Step.SENDING, claimed_until__lt=now)
        .order_by("claimed_until")[:BATCH]
    )
    for invocation in stale:
        taken = Invocation.objects.filter(
            pk=invocation.pk, step=Invocation.Step.SENDING, claimed_until=invocation.claimed_until
        ).update(claimed_until=now + timedelta(seconds=settings.TASK_CLAIM_S))
        if taken:
            _recover(invocation.task, invocation)
    return len(stale)


def _recover(task: Task, invocation: Invocation) -> None:
    provider = executors.provider_class(task.provider)
    if provider.chooses_ref:
        # It may or may not have arrived. The poller asks by the id we chose; if the provider does not know it, `lost`.
        now = timezone.now()
        Invocation.objects.filter(pk=invocation.pk, step=Invocation.Step.SENDING).update(
            step=Invocation.Step.WAITING, claimed_until=None, next_poll_at=now, miss_count=0
        )
    elif not provider.is_repeatable:
        submit_unknown(task, invocation, cause="The process stopped while sending.")
    elif task.attempt < task.max_attempts:
        _again(task, invocation)
    else:
        lifecycle.fail(task, invocation, problem_of(Interrupted))


def _ring_collecting(now: datetime) -> int:
    """Outputs that wait to be stored and that nobody holds."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    ids = list(
        Invocation.objects.filter(free, step=Invocation.Step.COLLECTING, next_poll_at__lte=now)
        .order_by("next_poll_at")
        .values_list("id", flat=True)[:BATCH]
    )
    for row_id in ids:
        changed = Invocation.objects.filter(free, pk=row_id, step=Invocation.Step.COLLECTING).update(
            next_poll_at=now + timedelta(seconds=RING_AGAIN_S)
        )
        if changed:
            doorbell.ring_collect(row_id)
    return len(ids)


def open_tasks_among(task_ids: Sequence[str]) -> set[str]:
    """Which of these tasks still wait or run."""
    open_states = (Task.State.QUEUED, Task.State.RUNNING)
    return set(Task.objects.filter(pk__in=task_ids, state__in=open_states).values_list("id", flat=True))
