"""Finds what a dead process or a lost ring left behind, and does the one thing that is safe."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from abilities import doorbell, lifecycle
from abilities.errors import Interrupted, ProviderForgot
from abilities.models import Invocation, Task
from abilities.runner.accept import ring_stop
from abilities.runner.endings import BACKOFF_S, overdue_problem, problem_of
from abilities.runner.send import submit_unknown
from executors import services as executors

logger = logging.getLogger(__name__)

RING_AGAIN_S = 5.0
"""A queued task that was rung and not claimed for this long is rung again."""
BATCH = 200
PARKED_BATCH = 10


def sweep() -> int:
    """One pass over everything that should have moved. Returns how much; safe in any number of processes."""
    now = timezone.now()
    return sum(part(now) for part in (_ring_queued, _end_overdue, _recover_sending, _ring_collecting, _ring_cancelled))


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
    """Queued tasks whose ring was lost, or whose pause is over; most urgent first.

    Of the parked ones only a few: however long the line, looking at it must not take the workers' time.
    """
    due = Q(not_before=None) | Q(not_before__lte=now)
    unheard = Q(rung_at=None) | Q(rung_at__lt=now - timedelta(seconds=RING_AGAIN_S))
    queued = (
        Task.objects.filter(due & unheard, state=Task.State.QUEUED, deadline_at__gt=now)
        .order_by("-priority", "created_at")
        .values_list("id", flat=True)
    )
    ids = [*queued.filter(is_parked=False)[:BATCH], *queued.filter(is_parked=True)[:PARKED_BATCH]]
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
        with _apart(task.pk):
            _end_overdue_task(task)
    return len(overdue)


def _end_overdue_task(task: Task) -> None:
    last = task.invocations.select_related("executor").order_by("-attempt").first()
    current = last if last and last.attempt == task.attempt and last.step != Invocation.Step.CLOSED else None
    is_at_provider = current is not None and current.step != Invocation.Step.COLLECTING
    with transaction.atomic():
        if lifecycle.fail(task, current, overdue_problem(last)) and current and is_at_provider:
            ring_stop(task, current)


@contextmanager
def _apart(subject: object) -> Iterator[None]:
    """What goes wrong with one row must not keep the sweep from the others (R4)."""
    try:
        yield
    except Exception:
        logger.exception("the sweep stumbled over %s; the next one tries again", subject)


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
            with _apart(invocation.task_id):
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
        if task.cancel_requested_at:
            doorbell.ring_cancel(task.pk)
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


def _ring_cancelled(now: datetime) -> int:
    """Running tasks that somebody wants stopped and whose ring was lost, or whose provider did not listen."""
    unheard = Q(rung_at=None) | Q(rung_at__lt=now - timedelta(seconds=RING_AGAIN_S))
    asked_before = now - timedelta(seconds=RING_AGAIN_S)
    wanted = Task.objects.filter(unheard, state=Task.State.RUNNING, cancel_requested_at__lt=asked_before)
    ids = list(wanted.order_by("cancel_requested_at").values_list("id", flat=True)[:BATCH])
    for task_id in ids:
        if wanted.filter(pk=task_id).update(rung_at=now):
            doorbell.ring_cancel(task_id)
    return len(ids)


def open_tasks_among(task_ids: Sequence[str]) -> set[str]:
    """Which of these tasks still wait or run."""
    open_states = (Task.State.QUEUED, Task.State.RUNNING)
    return set(Task.objects.filter(pk__in=task_ids, state__in=open_states).values_list("id", flat=True))
