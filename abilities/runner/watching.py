"""Listens to the services that tell by themselves when something changed, so that polling them can be patient.

Every nudge is only a reason to poll now or a number to show: losing all of them delays a result by one poll interval.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from django.utils import timezone

from abilities import lifecycle
from abilities.models import Invocation, Task
from abilities.runner.accept import MIN_PROGRESS_STEP
from executors import services as executors
from executors.models import Executor
from executors.providers.base import Nudge, Provider
from podi.base.errors import PodiError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Watch:
    provider: Provider
    stop: threading.Event


class Watching:
    """The listeners of one poller process. Only the thread that calls `reconcile` and `flush` touches the database."""

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._progress: dict[str, float] = {}

    def reconcile(self) -> None:
        """One listener for each active executor whose kind can be watched; a changed address gets a new one."""
        kinds = [kind for kind in executors.provider_kinds() if executors.provider_class(kind).can_watch]
        wanted: dict[str, Provider] = {}
        for executor in Executor.objects.filter(type__in=kinds, status="active"):
            try:
                wanted[executor.pk] = executors.connect(executor.type, executor).provider
            except PodiError:
                logger.warning("executor %s cannot be watched", executor.pk, exc_info=True)
        for executor_id, watch in list(self._watches.items()):
            if wanted.get(executor_id) is None or wanted[executor_id].endpoint != watch.provider.endpoint:
                watch.stop.set()
                del self._watches[executor_id]
        for executor_id, provider in wanted.items():
            if executor_id not in self._watches:
                self._listen(executor_id, provider)

    def flush(self) -> int:
        """Act on what was heard since the last time: poll changed executors now, write progress. Returns how much."""
        with self._lock:
            changed, self._changed = self._changed, set()
            progress, self._progress = self._progress, {}
        if changed:
            Invocation.objects.filter(
                executor_id__in=changed, step=Invocation.Step.WAITING, next_poll_at__gt=timezone.now()
            ).update(next_poll_at=timezone.now())
        if progress:
            _note(progress)
        return len(changed) + len(progress)

    def close(self) -> None:
        for watch in self._watches.values():
            watch.stop.set()

    def _listen(self, executor_id: str, provider: Provider) -> None:
        stop = threading.Event()
        self._watches[executor_id] = _Watch(provider, stop)
        hear = partial(self._hear, executor_id)
        threading.Thread(target=provider.watch, args=(hear, stop), name=f"watch-{executor_id}", daemon=True).start()

    def _hear(self, executor_id: str, nudge: Nudge) -> None:
        with self._lock:
            if nudge.kind == "progress" and nudge.progress is not None:
                self._progress[nudge.ref] = nudge.progress
            elif nudge.kind in ("changed", "back"):
                self._changed.add(executor_id)


def _note(progress: Mapping[str, float]) -> None:
    """The share of the step a run is in. It may fall when the next step begins; only rising shares are told."""
    rows = Invocation.objects.select_related("task").filter(ref__in=list(progress), step=Invocation.Step.WAITING)
    for row in rows:
        share = min(progress[row.ref], 0.99)
        if row.task.state == Task.State.RUNNING and share - row.task.progress >= MIN_PROGRESS_STEP:
            lifecycle.note_progress(row.task, share)
