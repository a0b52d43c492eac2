"""Carries a caller's wish to stop to the provider."""

from __future__ import annotations

from abilities import lifecycle
from abilities.models import Invocation, Task
from abilities.runner.accept import accept
from executors import services as executors
from executors.providers.base import Phase, ProviderError


def cancel(task_id: str) -> None:
    """Ask the provider to stop a running task whose cancel was requested. Safe to call any number of times.

    Before the work was sent, `dispatch` and `accept` see the wish themselves; after its end nothing happens.
    """
    task = Task.objects.filter(pk=task_id, cancel_requested_at__isnull=False).first()
    if task is None or task.is_terminal:
        return
    if task.state == Task.State.QUEUED:
        lifecycle.cancel(task)
        return
    invocation = (
        Invocation.objects.select_related("executor")
        .filter(task=task, attempt=task.attempt, step=Invocation.Step.WAITING)
        .first()
    )
    if invocation is None:
        return
    connection = executors.connect(task.provider, invocation.executor, api_key_id=invocation.api_key_id or "")
    if not connection.provider.can_cancel:
        return
    try:
        report = connection.provider.cancel(invocation.ref)
    except ProviderError as error:
        executors.note_failure(connection, error)
        return
    if report.phase == Phase.CANCELLED:
        accept(task, invocation, report, connection)
