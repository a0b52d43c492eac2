"""Asks providers about all open work: one call per executor and pass, many executors at once.

The network waits in threads of a pool; the database is only touched by the thread that calls `step`. A slow node delays
nobody but itself, and a thousand open jobs cost one poller.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils import timezone

from abilities.models import Invocation
from abilities.runner.accept import accept, note_running
from abilities.runner.recover import lost
from executors import services as executors
from executors.providers.base import ProviderError, Report
from podi.base.errors import PodiError
from podi.base.ids import new_id

logger = logging.getLogger(__name__)

CLAIM_S = 45
"""How long one pass may answer for the rows it took, before another poller asks too."""
BATCH = 2000
MAX_THREADS = 32
ANSWER_S = 0.1
"""A step waits so long for the answers of its calls; those of slower services are for a later step."""
LOST_AFTER_MISSES = 3
ERROR_BACKOFF_S = (1, 2, 4, 8, 10)
_HEAVY = (
    *("routing", "request_payload", "response_payload", "result_assets", "pending_outputs"),
    *(f"task__{name}" for name in ("inputs", "request", "metadata", "result", "callback_headers")),
)
"""What most passes never look at: nearly all rows come back unchanged. Who needs it reads it then."""


class _Account(NamedTuple):
    """Whom one call asks: work is known only to the account it was sent with."""

    kind: str
    executor_id: str
    api_key_id: str


@dataclass
class _Pass:
    """One call under way: the rows it asks about."""

    connection: executors.Connection
    rows: list[Invocation]
    future: Future[Mapping[str, Report]]
    begun_at: datetime


class Polling:
    """The state of one poller process: which executors are being asked right now."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="poll")
        self._open: dict[_Account, _Pass] = {}
        self._errors: dict[_Account, int] = {}

    def step(self) -> int:
        """Take what is due, start calls, work off what came back. Returns how many reports were handled."""
        self._start(timezone.now())
        wait([each.future for each in self._open.values()], timeout=ANSWER_S)
        return self._finish()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, now: datetime) -> None:
        due = list(
            Invocation.objects.filter(step=Invocation.Step.WAITING, next_poll_at__lte=now)
            .order_by("next_poll_at")
            .values_list("id", "ability_provider", "executor_id", "api_key_id")[:BATCH]
        )
        groups: dict[_Account, list[int]] = defaultdict(list)
        for row_id, kind, executor_id, api_key_id in due:
            groups[_Account(kind, executor_id or "", api_key_id or "")].append(row_id)
        for account, ids in groups.items():
            if account not in self._open:
                self._ask(account, self._take(ids, now))

    def _take(self, ids: Sequence[int], now: datetime) -> list[Invocation]:
        """Claim rows by compare-and-set, so that two pollers never ask for one row at the same time."""
        mark = new_id()
        Invocation.objects.filter(pk__in=ids, step=Invocation.Step.WAITING, next_poll_at__lte=now).update(
            next_poll_at=now + timedelta(seconds=CLAIM_S), poll_mark=mark
        )
        taken = Invocation.objects.select_related("task").filter(poll_mark=mark, pk__in=ids)
        return list(taken.defer(*_HEAVY))

    def _ask(self, account: _Account, rows: list[Invocation]) -> None:
        if not rows:
            return
        try:
            connection = executors.connect(account.kind, rows[0].executor, api_key_id=account.api_key_id)
        except PodiError:
            logger.warning("%s cannot be asked", account, exc_info=True)
            self._postpone(rows, 10)
            return
        future = self._threads.submit(connection.provider.poll, [row.ref for row in rows])
        self._open[account] = _Pass(connection, rows, future, timezone.now())

    def _finish(self) -> int:
        handled = 0
        for account, done in [(key, p) for key, p in self._open.items() if p.future.done()]:
            del self._open[account]
            try:
                reports = done.future.result()
            except ProviderError as error:
                executors.note_failure(done.connection, error)
                count = self._errors[account] = self._errors.get(account, 0) + 1
                self._postpone(done.rows, ERROR_BACKOFF_S[min(count, len(ERROR_BACKOFF_S)) - 1])
                continue
            except Exception:
                logger.exception("%s gave an answer its adapter cannot read", account)
                self._postpone(done.rows, ERROR_BACKOFF_S[-1])
                continue
            executors.note_success(done.connection, is_use=False)
            self._errors.pop(account, None)
            self._apply(done, reports)
            handled += len(done.rows)
        return handled

    def _apply(self, done: _Pass, reports: Mapping[str, Report]) -> None:
        unchanged: list[Invocation] = []
        for row in done.rows:
            try:
                if not self._apply_one(row, reports.get(row.ref), done.connection):
                    unchanged.append(row)
            except Exception:
                # What goes wrong with one task must not keep the others of its node waiting (R4).
                logger.exception("the report about task %s could not be taken; it is asked for again", row.task_id)
        # Counted from the question, not from the answer: else the time of both adds to how late an end is noticed.
        interval_s = done.connection.provider.poll_interval_s
        passed_s = (timezone.now() - done.begun_at).total_seconds()
        self._postpone(unchanged, max(interval_s - passed_s, interval_s / 4))

    def _apply_one(self, row: Invocation, report: Report | None, connection: executors.Connection) -> bool:
        """False when nothing changed that matters."""
        if report is None:
            self._missed(row)
        elif report.phase.is_final:
            accept(row.task, row, report, connection)
        else:
            note_running(row.task, row, report)
            return False
        return True

    def _missed(self, row: Invocation) -> None:
        """The provider does not know it. Only after several misses is that taken for the truth."""
        row.miss_count += 1
        if row.miss_count >= LOST_AFTER_MISSES:
            lost(row.task, row)
            return
        Invocation.objects.filter(pk=row.pk, step=Invocation.Step.WAITING).update(
            miss_count=row.miss_count, next_poll_at=timezone.now() + timedelta(seconds=1)
        )

    def _postpone(self, rows: Sequence[Invocation], pause_s: float) -> None:
        if not rows:
            return
        when = timezone.now() + timedelta(seconds=pause_s)
        Invocation.objects.filter(pk__in=[row.pk for row in rows], step=Invocation.Step.WAITING).update(
            next_poll_at=when, miss_count=0
        )
