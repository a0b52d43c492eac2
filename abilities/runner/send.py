"""Sends a claimed invocation to its provider and takes the first answer."""

from __future__ import annotations

import time

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from abilities import lifecycle
from abilities.errors import SubmitUnknown
from abilities.models import Invocation, Task
from abilities.orders import build_order
from abilities.redaction import redact
from abilities.runner import heartbeat
from abilities.runner.accept import accept, wait_for_provider
from abilities.runner.endings import problem_of, provider_problem, retry_at
from abilities.runner.fetching import fetch_named
from executors import services as executors
from executors.models import ApiKey
from executors.providers.base import (
    Phase,
    ProviderBusy,
    ProviderError,
    ProviderRefusedKey,
    ProviderUnreachable,
    Report,
)
from podi.base.errors import PodiError
from podi.events import services as events


def run(task: Task, invocation: Invocation) -> None:
    """Run an invocation this process has just claimed.

    The row already says `sending`, with the id we chose where we choose one. If the process dies from here on, recovery
    asks the provider by that id, does a repeatable order again, or ends the task as SUBMIT_UNKNOWN.
    """
    claimed_at = time.monotonic()
    with heartbeat.holding(invocation.pk):
        try:
            connection = executors.connect(task.provider, invocation.executor)
            if not fetch_named(task, invocation):
                return
            order = build_order(task, invocation)
        except PodiError as error:
            _not_sent(task, invocation, error)
            return
        if connection.api_key is not None:
            _remember_key(invocation, connection.api_key)
        if not _may_still_send(invocation, claimed_at):
            return
        try:
            report = connection.provider.submit(order)
        except PodiError as error:
            _not_sent(task, invocation, error)  # a kept picture could not be opened
            return
        except ProviderError as error:
            executors.note_failure(connection, error)
            _refused(task, invocation, error, connection)
            return
        executors.note_success(connection)
        accept(task, invocation, report, connection)


def _remember_key(invocation: Invocation, api_key: ApiKey) -> None:
    """With whose account the work is sent: only that one can be asked about it later."""
    invocation.api_key = api_key
    Invocation.objects.filter(pk=invocation.pk).update(api_key=api_key)


def _may_still_send(invocation: Invocation, claimed_at: float) -> bool:
    """False when this process slept so long that another may have taken over; asked only when that is possible."""
    if time.monotonic() - claimed_at < settings.TASK_CLAIM_S / 2:
        return True
    now = timezone.now()
    return bool(
        Invocation.objects.filter(pk=invocation.pk, step=Invocation.Step.SENDING, claimed_until__gt=now).update(
            updated_at=now
        )
    )


def _not_sent(task: Task, invocation: Invocation, error: PodiError) -> None:
    """Something of ours was missing (a key, a file): surely not sent."""
    problem = lifecycle.Problem(code=error.detail, message=error.stored_text, is_retryable=error.retryable)
    if error.retryable and _may_try_again(task):
        when = retry_at(task, error.retry_after_s)
        avoided = list(task.avoided_executor_ids or [])
        lifecycle.requeue(task, invocation, problem=problem, not_before=when, avoided_executor_ids=avoided)
    else:
        lifecycle.fail(task, invocation, problem)


def _refused(task: Task, invocation: Invocation, error: ProviderError, connection: executors.Connection) -> None:
    """What an error of `submit` means: see the table of errors in ARCHITECTURE.md."""
    if error.was_taken is None:
        _perhaps_taken(task, invocation, error, connection)
        return
    problem = provider_problem(error)
    # Nobody was there to take it: that costs no attempt, the deadline is the limit. A refused key costs one.
    is_free = isinstance(error, ProviderUnreachable | ProviderBusy)
    if (is_free and task.deadline_at > timezone.now()) or (
        isinstance(error, ProviderRefusedKey) and _may_try_again(task)
    ):
        avoided = list(task.avoided_executor_ids or [])
        if not isinstance(error, ProviderBusy) and task.executor_id and task.executor_id not in avoided:
            avoided.append(task.executor_id)
        lifecycle.requeue(
            task,
            invocation,
            problem=problem,
            not_before=retry_at(task, error.retry_after_s),
            avoided_executor_ids=avoided[-8:],
            is_free=is_free,
        )
        return
    lifecycle.fail(task, invocation, problem, response=redact(error.raw))


def _perhaps_taken(task: Task, invocation: Invocation, error: ProviderError, connection: executors.Connection) -> None:
    provider = connection.provider
    if provider.chooses_ref:
        wait_for_provider(task, invocation, Report(phase=Phase.ACCEPTED, ref=invocation.ref), connection)
    elif provider.is_repeatable and _may_try_again(task):
        lifecycle.requeue(task, invocation, problem=provider_problem(error), not_before=retry_at(task, None))
    else:
        submit_unknown(task, invocation, cause=error.message)


def submit_unknown(task: Task, invocation: Invocation, *, cause: str) -> None:
    """The provider may have the work and cannot be asked: end it, give the points back, tell an operator."""
    problem = problem_of(SubmitUnknown)
    with transaction.atomic():
        if lifecycle.fail(task, invocation, problem, response={"cause": cause[:500]}):
            raise_alert("task.submit_unknown", task, cause=cause)


def raise_alert(topic: str, task: Task, **facts: str) -> None:
    """An event for operators only."""
    with transaction.atomic():
        events.record(
            events.Fact(
                topic=topic,
                subject=("task", task.id),
                owner_id=None,
                payload={"taskId": task.id, "executorId": task.executor_id, **facts},
            )
        )


def _may_try_again(task: Task) -> bool:
    return task.attempt < task.max_attempts and task.deadline_at > timezone.now()
