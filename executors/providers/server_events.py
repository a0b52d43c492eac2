"""Server-sent events, read as the standard says: comments, blank fields and several data lines are all in order."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_EVENT_CHARS = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ServerEvent:
    event: str
    data: str
    id: str = ""


class EventTooLong(ValueError):
    """One event is longer than anybody needs."""


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events of a body. One that was begun and not ended by a blank line is dropped, as the standard wants."""
    fields: dict[str, list[str]] = {}
    size = 0
    for line in _lines(chunks):
        if not line:
            if "data" in fields or "event" in fields:
                yield _event(fields)
            fields, size = {}, 0
            continue
        size += len(line)
        if size > MAX_EVENT_CHARS:
            raise EventTooLong
        name, _colon, value = line.partition(":")
        if name:  # a comment has none
            fields.setdefault(name, []).append(value.removeprefix(" "))


def _event(fields: dict[str, list[str]]) -> ServerEvent:
    return ServerEvent(
        event=fields.get("event", ["message"])[-1],
        data="\n".join(fields.get("data", [])),
        id=fields.get("id", [""])[-1],
    )


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines end in LF, CRLF or CR and nothing else: `str.splitlines` would also break at U+2028 inside JSON."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    for chunk in chunks:
        rest += decoder.decode(chunk)
        if len(rest) > MAX_EVENT_CHARS:
            raise EventTooLong
        # A CR at the end may be the first half of a CRLF that is still on its way.
        kept = "\r" if rest.endswith("\r") else ""
        text = rest[: len(rest) - len(kept)].replace("\r\n", "\n").replace("\r", "\n")
        *lines, last = text.split("\n")
        rest = last + kept
        yield from lines
    if rest:
        yield from (rest + decoder.decode(b"", final=True)).replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
