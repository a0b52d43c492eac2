"""Takes a queued task: a slot, a claim, then the work."""

from __future__ import annotations

import logging
from dataclasses import replace

from django.utils import timezone

from abilities import attempts, lifecycle
from abilities.atomicity import whole
from abilities.models import Invocation, Task
from abilities.runner.endings import timed_out
from abilities.runner.send import run
from abilities.services.admission import need_of
from executors import errors as executor_errors
from executors import services as executors
from executors.providers.base import Provider
from podi.base.errors import PodiError

logger = logging.getLogger(__name__)


class _LostRace(Exception):
    """Another process claimed the task; rolls our slot back."""


def dispatch(task_id: str) -> None:
    """Safe to call any number of times, from any process: only one claims the task."""
    task = Task.objects.filter(pk=task_id).first()
    now = timezone.now()
    if task is None or task.state != Task.State.QUEUED:
        return
    if task.cancel_requested_at:
        lifecycle.cancel(task)
        return
    if task.not_before and task.not_before > now:
        return
    if task.deadline_at <= now:
        lifecycle.fail(task, None, timed_out())
        return
    invocation = _claim(task)
    if invocation is not None:
        run(task, invocation)


def _claim(task: Task) -> Invocation | None:
    provider = executors.provider_class(task.provider)
    route = _route(task)
    if route is None:
        return None
    if not route.candidates:
        invocation = attempts.new_invocation(task, provider=provider, executor=None)
        return invocation if lifecycle.claim(task, invocation) else None
    try:
        taken = _claim_slot(task, route, provider) if route.has_free_slot else None
        if taken is None and _park(task):
            # A slot that came free since the look at it rang for nobody: we were not parked yet. So look again.
            route = _route(task)
            taken = _claim_slot(task, route, provider) if route and route.has_free_slot else None
    except _LostRace:
        return None
    return taken


def _route(task: Task) -> executors.Route | None:
    """None when it cannot be served now; it waits then, or has ended where it never can be."""
    try:
        return executors.route(_need(task))
    except executor_errors.ExecutorNotFound as error:
        problem = lifecycle.Problem(code=error.detail, message=error.stored_text, is_retryable=error.retryable)
        lifecycle.fail(task, None, problem)
    except PodiError as error:
        # It could be served when it was asked for: an operator switched something off, and may switch it on again.
        logger.info("task %s waits: %s", task.id, error.detail)
        _park(task)
    return None


def _park(task: Task) -> bool:
    """Whoever ends a task on these executors rings for a parked one; the sweep does if that ring is lost."""
    queued = Task.objects.filter(pk=task.pk, state=Task.State.QUEUED, attempt=task.attempt)
    return bool(queued.update(is_parked=True, rung_at=timezone.now()))


def _claim_slot(task: Task, route: executors.Route, provider: type[Provider]) -> Invocation | None:
    def work() -> Invocation | None:
        lease = executors.start(task.id, route)
        if lease is None:
            return None
        invocation = attempts.new_invocation(
            task, provider=provider, executor=lease.executor, routing=route.explanation
        )
        if not lifecycle.claim(task, invocation):
            raise _LostRace
        return invocation

    return whole(work, task)


def _need(task: Task) -> executors.Need:
    need = need_of(task)
    return replace(need, avoided_executor_ids=tuple(task.avoided_executor_ids or ()))
