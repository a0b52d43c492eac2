"""Takes what a provider says and moves the task accordingly. The one path for first answers, polls and callbacks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from abilities import doorbell, lifecycle
from abilities.models import Invocation, Task
from abilities.redaction import redact
from abilities.runner.collect import collect_now
from abilities.runner.endings import provider_problem
from executors import services as executors
from executors.providers.base import Output, Phase, ProviderError, Report

MIN_PROGRESS_STEP = 0.05


def accept(task: Task, invocation: Invocation, report: Report, connection: executors.Connection) -> None:
    """A report of this invocation, however it came. Late and repeated ones change nothing: the rows say so."""
    report = connection.provider.fit(report, task.definition.get("metadata") or {})
    if report.ref:
        invocation.ref = report.ref
    if report.phase == Phase.SUCCEEDED:
        _succeeded(task, invocation, report, connection)
    elif report.phase == Phase.FAILED:
        problem = lifecycle.Problem(code=report.code or "TASK_FAILED", message=report.message)
        lifecycle.fail(task, invocation, problem, response=redact(report.raw))
    elif report.phase == Phase.CANCELLED:
        _stopped(task, invocation, report)
    else:
        wait_for_provider(task, invocation, report, connection)


def wait_for_provider(task: Task, invocation: Invocation, report: Report, connection: executors.Connection) -> None:
    """The provider has it: from here on the poller asks by `ref`, and no process holds anything.

    Where the task has ended in the meantime (its deadline, say), the provider is asked to stop.
    """
    now = timezone.now()
    invocation.accepted_at = invocation.accepted_at or now
    is_open = (
        Invocation.objects.filter(pk=invocation.pk)
        .exclude(step=Invocation.Step.CLOSED)
        .update(
            step=Invocation.Step.WAITING,
            ref=invocation.ref,
            accepted_at=invocation.accepted_at,
            claimed_until=None,
            next_poll_at=now + timedelta(seconds=connection.provider.poll_interval_s / 2),
            updated_at=now,
            **({} if report.raw is None else {"response_payload": redact(report.raw)}),
        )
    )
    if not is_open:
        ring_stop(task, invocation)
        return
    note_running(task, invocation, report)
    asked = Task.objects.filter(pk=task.pk).values_list("cancel_requested_at", flat=True).first()
    if asked:
        doorbell.ring_cancel(task.pk)


def ring_stop(task: Task, invocation: Invocation) -> None:
    """Have a provider stop work that nobody waits for any more. Nothing depends on it."""
    if invocation.ref:
        executor_id, api_key_id = invocation.executor_id or "", invocation.api_key_id or ""
        doorbell.ring_stop(task.provider, executor_id, api_key_id, invocation.ref)


def note_running(task: Task, invocation: Invocation, report: Report) -> None:
    """Progress worth telling: the start of the run, then every twentieth."""
    if report.phase == Phase.RUNNING and invocation.ran_at is None:
        invocation.ran_at = timezone.now()
        Invocation.objects.filter(pk=invocation.pk, ran_at=None).update(ran_at=invocation.ran_at)
    if report.progress is not None and report.progress - task.progress >= MIN_PROGRESS_STEP:
        lifecycle.note_progress(task, min(report.progress, 0.99))


def _succeeded(task: Task, invocation: Invocation, report: Report, connection: executors.Connection) -> None:
    invocation.done_at = timezone.now()
    if any(o.data is not None or o.file is not None for o in report.outputs) or all(
        o.text is not None for o in report.outputs
    ):
        collect_now(task, invocation, report_facts(report), report.outputs, connection)
        return
    hand_to_collector(invocation, report)


def hand_to_collector(invocation: Invocation, report: Report) -> None:
    """The provider is done and the outputs lie with it: remember where, and let a worker fetch them."""
    now = timezone.now()
    with transaction.atomic():
        changed = (
            Invocation.objects.filter(pk=invocation.pk)
            .exclude(step__in=(Invocation.Step.COLLECTING, Invocation.Step.CLOSED))
            .update(
                step=Invocation.Step.COLLECTING,
                ref=invocation.ref,
                done_at=now,
                claimed_until=None,
                next_poll_at=now + timedelta(seconds=10),
                pending_outputs={**report_facts(report), "outputs": [asdict(o) for o in report.outputs]},
                updated_at=now,
            )
        )
        if changed:
            doorbell.ring_collect(invocation.pk)


def report_facts(report: Report) -> dict[str, Any]:
    """What of a final report the result keeps beside the outputs; JSON."""
    return {
        "metadata": redact(dict(report.metadata)),
        "raw": redact(report.raw),
        "usage": {k: v for k, v in asdict(report.usage).items() if v is not None} if report.usage else None,
    }


def outputs_of(pending: dict[str, Any]) -> tuple[Output, ...]:
    return tuple(Output(**stored) for stored in pending.get("outputs") or [])


def _stopped(task: Task, invocation: Invocation, report: Report) -> None:
    """Cancelled at the provider: by our caller's wish, or by somebody at the node, which is a failure to the caller."""
    task.refresh_from_db(fields=["cancel_requested_at"])
    if task.cancel_requested_at:
        lifecycle.cancel(task, invocation)
        return
    error = ProviderError(report.message or "The work was stopped at the provider.", code="PROVIDER_CANCELLED")
    lifecycle.fail(task, invocation, provider_problem(error), response=redact(report.raw))
