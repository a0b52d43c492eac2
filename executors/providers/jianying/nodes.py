"""Reading an object of the caller's document: each value is looked at by name, and every problem is kept with its path.

Nothing raises while reading: a wrong value is noted and a harmless one returned, so that the caller learns all at once.
What nobody asked for is noted too, when the node is closed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from executors.providers.base import ProviderRejected
from executors.providers.jianying.plan import Span, Warning

MAX_PROBLEMS = 50
MAX_WARNINGS = 200
MAX_DURATION_US = 10 * 3600 * 1_000_000
"""No draft is longer than ten hours; what is, has its times in another unit."""

Unit = Literal["us", "ms"]
_SCALES: dict[Unit, int] = {"us": 1, "ms": 1000}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass
class Findings:
    """What is wrong and what is left out, in the order it was found."""

    unit: Unit = "us"
    problems: dict[str, str] = field(default_factory=dict)
    warnings: list[Warning] = field(default_factory=list)

    def refuse(self, path: str, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.setdefault(path, message)

    def warn(self, path: str, message: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(Warning(path=path, message=message))
        elif len(self.warnings) == MAX_WARNINGS:
            self.warnings.append(Warning(path="", message="There are more warnings than are listed here."))

    @property
    def is_full(self) -> bool:
        """So much is wrong that reading on tells nobody anything, and only costs time."""
        return len(self.problems) >= MAX_PROBLEMS

    def raise_problems(self) -> None:
        if self.problems:
            raise rejection(self.problems)


def rejection(fields: Mapping[str, str]) -> ProviderRejected:
    """INVALID_INPUT that names each place; the sentence holds the first."""
    path, message = next(iter(fields.items()))
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return ProviderRejected(f"{path}: {message}{more}", code="INVALID_INPUT", fields=fields)


class Node:
    """One object. A key with the value null counts as absent."""

    def __init__(self, value: Any, path: str, findings: Findings) -> None:
        self.path = path
        self.findings = findings
        self._values: dict[str, Any] = {}
        self._seen: set[str] = set()
        if isinstance(value, Mapping):
            self._values = {str(key): item for key, item in value.items() if item is not None}
        else:
            findings.refuse(path, "Must be an object.")

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return name in self._values

    @property
    def is_empty(self) -> bool:
        return not self._values

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def raw(self, name: str) -> Any:
        self._seen.add(name)
        return self._values.get(name)

    def refuse(self, name: str, message: str) -> None:
        self.findings.refuse(self.at(name), message)

    def warn(self, name: str, message: str) -> None:
        self.findings.warn(self.at(name), message)

    def ignore(self, *names: str) -> None:
        """Keys that say nothing about the draft: neither used nor worth a warning."""
        self._seen.update(names)

    def close(self) -> None:
        """Everything was read that can be read: what is left has no place in a draft, and is told."""
        for name in self._values.keys() - self._seen:
            self.warn(name, "PODI does not know this; it is not in the draft.")

    def child(self, name: str) -> Node | None:
        value = self.raw(name)
        return None if value is None else Node(value, self.at(name), self.findings)

    def items(self, name: str, *, most: int) -> list[tuple[str, Any]]:
        """The elements of a list with their paths."""
        value = self.raw(name)
        if value is None:
            return []
        if isinstance(value, str) or not isinstance(value, Sequence):
            self.refuse(name, "Must be a list.")
            return []
        if len(value) > most:
            self.refuse(name, f"At most {most} elements; there are {len(value)}.")
            return []
        return [(f"{self.at(name)}[{position}]", item) for position, item in enumerate(value)]

    def number(self, name: str, *, default: float, low: float, high: float) -> float:
        value = self.raw(name)
        if value is None:
            return float(default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(name, "Must be a number.")
        elif not low <= value <= high:
            self.refuse(name, f"Must be between {low:g} and {high:g}; it is {value:g}.")
        else:
            return float(value)
        return float(default)

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        value = self.number(name, default=default, low=low, high=high)
        if not value.is_integer():
            self.refuse(name, "Must be a whole number.")
            return default
        return int(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(name, "Must be true or false.")
            return default
        return value

    def text(self, name: str, *, most: int, required: bool = False, default: str = "") -> str:
        value = self.raw(name)
        if value is None or value == "":
            if required:
                self.refuse(name, "This is required.")
            return default
        if not isinstance(value, str):
            self.refuse(name, "Must be a text.")
        elif len(value) > most:
            self.refuse(name, f"At most {most} characters; there are {len(value)}.")
        else:
            return value
        return default

    def choice(self, name: str, options: Mapping[str, Any], *, default: Any) -> Any:
        value = self.text(name, most=64).strip().lower()
        if not value:
            return default
        if value not in options:
            self.refuse(name, f"Must be one of: {', '.join(options)}.")
            return default
        return options[value]

    def colour(self, name: str, *, default: str) -> str:
        """`#RRGGBB` in upper case."""
        value = self.text(name, most=64).strip()
        if not value:
            return default
        if not _COLOUR.fullmatch(value):
            self.refuse(name, "Must be a colour such as #FF8800.")
            return default
        return value.upper()

    def rgb(self, name: str, *, default: str) -> tuple[float, float, float]:
        red, green, blue = bytes.fromhex(self.colour(name, default=default)[1:])
        return red / 255, green / 255, blue / 255

    def entry(self, name: str, find: Callable[[str], Any]) -> Any:
        """What the library calls this name; None when none is given. `find` raises LookupError with its sentence."""
        value = self.text(name, most=128).strip()
        if not value:
            return None
        try:
            return find(value)
        except LookupError as error:
            self.refuse(name, str(error.args[0]))
            return None

    def time_us(self, name: str, *, most_us: int = MAX_DURATION_US) -> int | None:
        """A time or a length in the document's unit; None when it is not given, or wrong."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            self.refuse(name, "Must be a time: a number, 0 or more.")
            return None
        micros: int = round(value * _SCALES[self.findings.unit])
        if micros > most_us:
            hint = " Are these microseconds? Then leave time_unit at us." if self.findings.unit == "ms" else ""
            self.refuse(name, f"Is {micros / 1e6:g} s; at most {most_us / 1e6:g} s.{hint}")
            return None
        return micros

    def span(self, name: str, *, required: bool = False) -> Span | None:
        node = self.child(name)
        if node is None:
            if required:
                self.refuse(name, "This is required: {start, end}.")
            return None
        start, end = node.time_us("start"), node.time_us("end")
        node.close()
        if not (node.has("start") and node.has("end")):
            self.refuse(name, "Needs start and end.")
        elif start is None or end is None:
            return None
        elif end <= start:
            self.refuse(name, "Its end must be after its start.")
        else:
            return Span(start_us=start, end_us=end)
        return None
