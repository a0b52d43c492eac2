"""Background jobs of django-q2 and duties of the poller. Each begins by claiming what it works on.

These functions are the job boundary: what goes wrong unexpectedly is logged here, and the rows left behind are found by
the sweep.
"""

from __future__ import annotations

import logging
from time import monotonic

from django.conf import settings

from abilities import runner
from executors import services as executors
from executors.models import Executor
from executors.providers.base import ProviderError
from podi.base.duties import Duty
from podi.base.errors import PodiError

logger = logging.getLogger(__name__)


def dispatch(task_id: str) -> None:
    try:
        runner.dispatch(task_id)
    except Exception:
        logger.exception("dispatch of task %s broke off; the sweep will decide about it", task_id)


def collect(invocation_id: int) -> None:
    try:
        runner.collect(invocation_id)
    except Exception:
        logger.exception("collecting invocation %s broke off; it will be tried again", invocation_id)


def cancel(task_id: str) -> None:
    try:
        runner.cancel(task_id)
    except Exception:
        logger.exception("cancelling task %s broke off", task_id)


def stop(provider: str, executor_id: str, api_key_id: str, ref: str) -> None:
    """Ask a provider to stop work whose task has ended without it. Whatever it answers, the task has ended."""
    executor = Executor.objects.filter(pk=executor_id).first() if executor_id else None
    if not ref or (executor_id and executor is None):
        return  # the executor was deleted meanwhile: there is nobody left to ask
    try:
        connection = executors.connect(provider, executor, api_key_id=api_key_id)
        if connection.provider.can_cancel:
            connection.provider.cancel(ref)
    except (ProviderError, PodiError):
        logger.info("%s could not stop %s", executor_id or provider, ref, exc_info=True)


class PollDuty(Duty):
    """Asks providers about open work."""

    name = "poll"

    def __init__(self) -> None:
        self.interval_s = settings.POLLER_TICK_S
        self._polling = runner.Polling()

    def run(self) -> None:
        self._polling.step()

    def close(self) -> None:
        self._polling.close()


class WatchDuty(Duty):
    """Listens to nodes that tell by themselves: results are noticed at once, progress is seen."""

    name = "watch"
    interval_s = 0.2
    reconcile_every_s = 5.0

    def __init__(self) -> None:
        self._watching = runner.Watching()
        self._reconciled_at = 0.0

    def run(self) -> None:
        if monotonic() - self._reconciled_at >= self.reconcile_every_s:
            self._watching.reconcile()
            self._reconciled_at = monotonic()
        self._watching.flush()

    def close(self) -> None:
        self._watching.close()


class SweepDuty(Duty):
    """Rings again, ends what is overdue, recovers what a dead process left."""

    name = "sweep"
    interval_s = 1.0

    def run(self) -> None:
        runner.sweep()


class LeaseDuty(Duty):
    """Frees leases whose task is no longer open."""

    name = "leases"
    interval_s = 15.0

    def run(self) -> None:
        executors.sweep_leases(runner.open_tasks_among)
