"""The Range header of HTTP, for one range of bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")


@dataclass(frozen=True, kw_only=True)
class Span:
    """Bytes `start` to `end`, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


class Unsatisfiable(Exception):
    """The range lies outside the file."""


def read_range(header: str, *, size_bytes: int) -> Span | None:
    """The bytes asked for; None where the whole file is to be sent (no range, several, or none we understand).

    Raises Unsatisfiable.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        start, end = max(size_bytes - int(last), 0), size_bytes - 1
        if int(last) == 0:
            raise Unsatisfiable
    else:
        start, end = int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1
        if last and int(last) < start:
            return None
    if start >= size_bytes:
        raise Unsatisfiable
    return Span(start=start, end=end)
