"""Numbers for the SVG charts that templates draw: bars over time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from abilities.services import Slice


@dataclass(frozen=True, kw_only=True)
class Column:
    """One stretch of time, in percent of the picture's width and height, stacked from the bottom."""

    left: float
    width: float
    success_top: float
    success_height: float
    failed_top: float
    failed_height: float
    other_top: float
    other_height: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    columns: tuple[Column, ...]
    highest: int
    labels: tuple[tuple[float, str], ...]
    """Position in percent, and the local time there."""

    @property
    def is_empty(self) -> bool:
        return self.highest == 0


def stack(slices: Sequence[Slice]) -> Chart:
    """Successes below, failures above them, open and interrupted calls on top."""
    highest = max((part.total for part in slices), default=0)
    width = 100 / max(1, len(slices))
    scale = 100 / max(1, highest)
    columns = []
    for index, part in enumerate(slices):
        success, failed, other = (n * scale for n in (part.success, part.failed, part.other))
        at = timezone.localtime(part.start)
        columns.append(
            Column(
                left=round(index * width + width * 0.1, 3),
                width=round(width * 0.8, 3),
                success_top=round(100 - success, 2),
                success_height=round(success, 2),
                failed_top=round(100 - success - failed, 2),
                failed_height=round(failed, 2),
                other_top=round(100 - success - failed - other, 2),
                other_height=round(other, 2),
                title=f"{at:%m-%d %H:%M} · {part.total} = {part.success} ✓ {part.failed} ✗ {part.other} …",
            )
        )
    return Chart(columns=tuple(columns), highest=highest, labels=_labels(slices, width))


def _labels(slices: Sequence[Slice], width: float) -> tuple[tuple[float, str], ...]:
    if not slices:
        return ()
    shows_days = len(slices) > 1 and (slices[-1].start - slices[0].start).total_seconds() > 36 * 3600
    pattern = "%m-%d" if shows_days else "%H:%M"
    every = max(1, len(slices) // 6)
    chosen = range(0, len(slices), every)
    return tuple((round((i + 0.1) * width, 2), f"{timezone.localtime(slices[i].start):{pattern}}") for i in chosen)
