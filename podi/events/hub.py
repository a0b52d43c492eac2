"""One reader of the event table for all streams of this process, and each stream's place in it.

A stream is only a cursor. The reader hands new events to those that keep up; one that does not is left behind without
anybody waiting for it, and catches up from the table by itself. So nothing is lost, repeated or piled up in memory.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from podi.events import hints, sequencer
from podi.events.envelope import envelope_of, to_text
from podi.events.models import Event
from podi.events.threads import in_thread

logger = logging.getLogger(__name__)

READ_EVERY_S = 1.0
PAUSE_AFTER_ERROR_S = 1.0
GATHER_S = 0.02
"""A burst of facts is read together: how long it is given to gather."""
BATCH = 500
PAGE = 100
KEEP_ITEMS = 200
KEEP_CHARS = 512 * 1024


@dataclass(frozen=True, kw_only=True)
class Item:
    """An event ready to be sent; the text is shared by all connections that send it."""

    sequence: int
    owner_id: str | None
    text: str


class Follower:
    """One connection's short queue. `is_behind` says that it overflowed and was emptied."""

    def __init__(self, *, owner_id: str | None) -> None:
        self.owner_id = owner_id
        """Whose events it wants; None means everybody's."""
        self.is_behind = False
        self._items: deque[Item] = deque()
        self._chars = 0
        self._bell = asyncio.Event()

    def offer(self, item: Item) -> None:
        """Never waits."""
        if self.is_behind:
            return
        self._items.append(item)
        self._chars += len(item.text)
        if len(self._items) > KEEP_ITEMS or self._chars > KEEP_CHARS:
            self.reset(is_behind=True)
        self._bell.set()

    def reset(self, *, is_behind: bool = False) -> None:
        self._items.clear()
        self._chars = 0
        self.is_behind = is_behind

    async def next(self, *, timeout_s: float) -> Item | None:
        """The next item; None when the time passed or the follower fell behind."""
        if not self._items and not self.is_behind:
            self._bell.clear()
            try:
                # Not wait_for: until Python 3.12 that loses a cancellation which comes together with the ring.
                async with asyncio.timeout(timeout_s):
                    await self._bell.wait()
            except TimeoutError:
                return None
        if not self._items:
            return None
        item = self._items.popleft()
        self._chars -= len(item.text)
        return item


class Hub:
    """The reader of one event loop. It runs while somebody follows."""

    def __init__(self) -> None:
        self._followers: dict[str | None, set[Follower]] = {}
        self._position: int | None = None
        self._starting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def join(self, follower: Follower) -> int:
        """The follower is offered everything after the returned sequence; what lies before it is in the table."""
        async with self._starting:
            if self._position is None:
                self._position = await in_thread(sequencer.last_sequence)
            follower.reset()
            self._followers.setdefault(follower.owner_id, set()).add(follower)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run(), name="podi-stream-reader")
            return self._position

    def leave(self, follower: Follower) -> None:
        group = self._followers.get(follower.owner_id, set())
        group.discard(follower)
        if not group:
            self._followers.pop(follower.owner_id, None)

    async def _run(self) -> None:
        listener = hints.Listener()
        relay = asyncio.create_task(hints.relay(), name="podi-stream-relay")
        try:
            while self._followers:
                try:
                    is_full = await self._read_once()
                except Exception:  # the database may be away for a while; the streams outlive that
                    logger.exception("The event table could not be read")
                    await asyncio.sleep(PAUSE_AFTER_ERROR_S)
                    continue
                if not is_full and await listener.wait(timeout_s=READ_EVERY_S):
                    await asyncio.sleep(GATHER_S)
        finally:
            self._position = None
            relay.cancel()

    async def _read_once(self) -> bool:
        """Hand out what is new. True when there may be more at once."""
        assert self._position is not None
        items = await in_thread(_read_new, self._position)
        if items:
            self._position = items[-1].sequence
        for item in items:
            for owner_id in {item.owner_id, None}:
                for follower in self._followers.get(owner_id, ()):
                    follower.offer(item)
        return len(items) == BATCH


async def read_pages(*, after: int, through: int, owner_id: str | None) -> AsyncIterator[list[Item]]:
    """The events of the table in (after, through], page by page."""
    while after < through:
        page = await in_thread(_read_page, after, through, owner_id)
        yield page
        after = page[-1].sequence if len(page) == PAGE else through


async def where_to_resume(wanted: int) -> tuple[int, bool]:
    """The sequence to go on from, and whether anything the client wanted may be gone (swept, or another database)."""
    last, swept = await in_thread(_read_bounds)
    if wanted > last:
        return last, True
    return wanted, wanted < swept


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


def _read_new(position: int) -> list[Item]:
    sequencer.sequence_committed(BATCH)
    return [_item(event) for event in sequencer.read_after(position, owner_id=None, limit=BATCH)]


def _read_page(after: int, through: int, owner_id: str | None) -> list[Item]:
    return [_item(event) for event in sequencer.read_after(after, through=through, owner_id=owner_id, limit=PAGE)]


def _read_bounds() -> tuple[int, int]:
    sequencer.sequence_committed(BATCH)
    return sequencer.last_sequence(), sequencer.swept_through()


def _item(event: Event) -> Item:
    assert event.sequence is not None
    return Item(sequence=event.sequence, owner_id=event.owner_id, text=to_text(envelope_of(event)))
