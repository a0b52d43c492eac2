"""Counts for people who watch over PODI: calls of the last day, calls over time, how today goes. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import CharField, Count, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Cast, Substr
from django.utils import timezone

from abilities.models import Ability, Invocation, Task
from abilities.services.log import LogFilter, find_invocations

_SUCCESS = Q(status=Invocation.Status.SUCCESS)
_FAILED = Q(status=Invocation.Status.FAILED)
_FORMS = {
    "minute": ("%Y-%m-%d %H:%M", "2026-01-01 00:00"),
    "hour": ("%Y-%m-%d %H", "2026-01-01 00"),
    "day": ("%Y-%m-%d", "2026-01-01"),
}
"""How a slice is written in the text of a moment, and such a text."""
_STEPS_S = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The calls of one stretch of time."""

    start: datetime
    success: int = 0
    failed: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        return self.success + self.failed + self.other


@dataclass(frozen=True, kw_only=True)
class Today:
    """How it goes since midnight in the operators' time zone; `queued` and `running` are of this moment."""

    calls: int
    success: int
    failed_calls: int
    queued: int
    running: int
    failed_tasks: int
    costs: dict[str, Decimal] = field(default_factory=dict)
    """Cost by currency."""

    @property
    def success_rate(self) -> float | None:
        ended = self.success + self.failed_calls
        return self.success / ended if ended else None


def with_recent_calls(abilities: QuerySet[Ability], *, hours: int = 24) -> QuerySet[Any]:
    """Annotates `recent_calls`, `recent_success`, `recent_failed` and `last_call_at`, all in the one query."""
    since = timezone.now() - timedelta(hours=hours)
    own = Invocation.objects.filter(ability_id=OuterRef("pk")).order_by()
    recent = own.filter(created_at__gte=since).values("ability_id")

    def count(condition: Q) -> Subquery:
        return Subquery(recent.annotate(n=Count("pk", filter=condition)).values("n"))

    return abilities.annotate(
        recent_calls=count(Q()),
        recent_success=count(_SUCCESS),
        recent_failed=count(_FAILED),
        last_call_at=Subquery(own.values("ability_id").annotate(at=Max("created_at")).values("at")),
    )


def calls_over_time(*, window_hours: int, wanted: LogFilter | None = None) -> list[Slice]:
    """The calls of the window in equal slices, empty ones included, oldest first. One query."""
    kind = "minute" if window_hours <= 2 else "hour" if window_hours <= 24 * 7 else "day"
    step = timedelta(seconds=_STEPS_S[kind])
    end = timezone.now()
    first = _cut(end - timedelta(hours=window_hours), step) + step
    rows = (
        find_invocations(wanted or LogFilter())
        .filter(created_at__gte=first)
        .order_by()
        # The beginning of the text, which every database cuts off by itself: Trunc would call Python for each row of
        # SQLite, and needs MySQL's time zone tables.
        .annotate(start=Substr(Cast("created_at", CharField()), 1, len(_FORMS[kind][1])))
        .values("start")
        .annotate(n=Count("pk"), success=Count("pk", filter=_SUCCESS), failed=Count("pk", filter=_FAILED))
    )
    found = {_read(row["start"], _FORMS[kind][0]): row for row in rows}
    slices = []
    start = first
    while start <= end:
        row = found.get(start, {"n": 0, "success": 0, "failed": 0})
        other = row["n"] - row["success"] - row["failed"]
        slices.append(Slice(start=start, success=row["success"], failed=row["failed"], other=other))
        start += step
    return slices


def today() -> Today:
    """Three queries, each over an index on time or state."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    calls = (
        Invocation.objects.filter(created_at__gte=midnight)
        .order_by()
        .values("currency")
        .annotate(
            n=Count("pk"),
            success=Count("pk", filter=_SUCCESS),
            failed=Count("pk", filter=_FAILED),
            cost=Sum("cost_amount"),
        )
    )
    by_currency = list(calls)
    open_states = (Task.State.QUEUED, Task.State.RUNNING)
    states = Task.objects.filter(state__in=open_states).order_by().values_list("state").annotate(n=Count("pk"))
    open_now = {str(state): count for state, count in states}
    return Today(
        calls=sum(row["n"] for row in by_currency),
        success=sum(row["success"] for row in by_currency),
        failed_calls=sum(row["failed"] for row in by_currency),
        queued=open_now.get(Task.State.QUEUED, 0),
        running=open_now.get(Task.State.RUNNING, 0),
        failed_tasks=Task.objects.filter(state=Task.State.FAILED, created_at__gte=midnight).count(),
        costs={row["currency"]: row["cost"] for row in by_currency if row["cost"]},
    )


def _cut(moment: datetime, step: timedelta) -> datetime:
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(step.total_seconds()), tz=UTC)


def _read(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)
