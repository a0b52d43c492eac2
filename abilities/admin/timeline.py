"""The life of a task as a picture: one bar per attempt, cut into phases. Pure: rows in, numbers for an SVG out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from abilities.admin.rendering import duration
from abilities.models import Invocation, Task

PHASES: dict[str, str | Promise] = {
    "queued": _("queued"),
    "sending": _("sending"),
    "provider": _("provider"),
    "running": _("running there"),
    "storing": _("storing"),
}
ROW_PX, LABEL_WIDTH_PERCENT = 30, 7.0


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One phase. `left` and `width` are percent of the picture."""

    phase: str
    left: float
    width: float
    ms: float

    @property
    def name(self) -> str | Promise:
        return PHASES[self.phase]

    @property
    def text(self) -> str:
        return duration(self.ms)

    @property
    def label(self) -> str:
        return self.text if self.width >= LABEL_WIDTH_PERCENT else ""

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One attempt (0: it has not been tried yet)."""

    number: int
    status: str
    segments: tuple[Segment, ...]

    @property
    def top(self) -> int:
        return max(0, self.number - 1) * ROW_PX + 4

    @property
    def text_top(self) -> int:
        return self.top + 15


@dataclass(frozen=True, kw_only=True)
class Timeline:
    bars: tuple[Bar, ...]
    total_ms: float

    @property
    def height(self) -> int:
        return len(self.bars) * ROW_PX + 20

    @property
    def axis_top(self) -> int:
        return len(self.bars) * ROW_PX + 14

    @property
    def ticks(self) -> list[tuple[int, str]]:
        return [(share, duration(self.total_ms * share / 100)) for share in (0, 25, 50, 75, 100)]


def draw(task: Task, invocations: Sequence[Invocation], *, now: datetime) -> Timeline:
    """`invocations` in the order of their attempts."""
    begin, end = task.created_at, task.finished_at or now
    total_s = max((end - begin).total_seconds(), 0.001)
    waiting_since = begin
    bars = []
    for number, row in enumerate(invocations, start=1):
        closed = row.finished_at or end
        bars.append(_bar(number, row.status, _marks(row, waiting_since), closed, begin=begin, total_s=total_s))
        waiting_since = closed
    if task.state == Task.State.QUEUED or not invocations:
        marks = [("queued", waiting_since)]
        bars.append(_bar(len(bars) + 1, task.state, marks, end, begin=begin, total_s=total_s))
    return Timeline(bars=tuple(bars), total_ms=total_s * 1000)


def _marks(row: Invocation, waiting_since: datetime) -> list[tuple[str, datetime]]:
    """When each phase began; a phase that nobody noted is part of the one before.

    A provider that answers at once is never waited for: there the sending was the work.
    """
    sent = "running" if row.done_at and not row.accepted_at else "sending"
    moments = (
        ("queued", waiting_since),
        (sent, row.sent_at or row.created_at),
        ("provider", row.accepted_at),
        ("running", row.ran_at if row.accepted_at else None),
        ("storing", row.done_at),
    )
    return [(phase, at) for phase, at in moments if at is not None]


def _bar(
    number: int, status: str, marks: list[tuple[str, datetime]], end: datetime, *, begin: datetime, total_s: float
) -> Bar:
    segments = []
    position = marks[0][1]
    for index, (phase, _at) in enumerate(marks):
        following = marks[index + 1][1] if index + 1 < len(marks) else end
        until = max(position, min(following, end))
        length_s = (until - position).total_seconds()
        left = (position - begin).total_seconds() / total_s * 100
        if length_s > 0:
            width = min(max(length_s / total_s * 100, 0.3), 100 - min(left, 99.7))
            segments.append(Segment(phase=phase, left=round(left, 2), width=round(width, 2), ms=length_s * 1000))
        position = until
    return Bar(number=number, status=status, segments=tuple(segments))
