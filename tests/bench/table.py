"""What the bench prints: one line per result, with its target where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Table:
    """Prints each line as soon as it is known and remembers which targets were missed."""

    missed: list[str] = field(default_factory=list)

    def head(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def line(self, name: str, value: str, *, target: str = "", met: bool | None = None) -> None:
        """`met` None means the line has no target."""
        mark = "" if met is None else ("  ok  " if met else "  MISSED  ") + f"(target {target})"
        print(f"  {name:<58} {value}{mark}", flush=True)
        if met is False:
            self.missed.append(name)


def mid(values: Sequence[float]) -> float:
    return float(median(values)) if values else float("nan")


def spread(values: Sequence[float], unit: str = "", digits: int = 1) -> str:
    """The median, and the lowest and highest round where there are several."""
    text = f"{mid(values):.{digits}f}{unit}"
    if len(values) > 1:
        text += f"  [{min(values):.{digits}f} .. {max(values):.{digits}f}]"
    return text


def share(ordered: Sequence[float], part: float) -> float:
    return ordered[int((len(ordered) - 1) * part)] if ordered else float("nan")
