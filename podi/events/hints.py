"""The doorbell: tells streams that the table has news. It carries nothing, may be lost, and never makes anyone wait.

Listeners in this process are woken directly. Where a channel layer crosses processes (Redis), one background thread
rings it too; many rings while it is busy become one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref

from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger(__name__)

GROUP = "podi.events"
MESSAGE = {"type": "events.news"}
SEND_TIMEOUT_S = 2.0
RELAY_PAUSE_S = 2.0
RINGER_PAUSE_S = 1.0


class Listener:
    """Something in an event loop that waits for news. Create it inside its loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        _listeners.add(self)

    def wake(self) -> None:
        """Safe from every thread."""
        try:
            self._loop.call_soon_threadsafe(self._bell.set)
        except RuntimeError:  # its loop is closed
            _listeners.discard(self)

    async def wait(self, *, timeout_s: float) -> bool:
        """True when it rang since the last wait, False when the time passed without a ring."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._bell.wait()
        except TimeoutError:
            return False
        self._bell.clear()
        return True


_listeners: weakref.WeakSet[Listener] = weakref.WeakSet()


def ring() -> None:
    """Tell every stream, here and in other processes, that there is news. Returns at once and never raises."""
    ring_here()
    if layer_crosses_processes():
        _ringer().ring()


def ring_here() -> None:
    for listener in list(_listeners):
        listener.wake()


def layer_crosses_processes() -> bool:
    layer = get_channel_layer()
    return layer is not None and not isinstance(layer, InMemoryChannelLayer)


async def relay() -> None:
    """Pass on what other processes ring, until cancelled. Ends at once where no layer crosses processes."""
    if not layer_crosses_processes():
        return
    while True:
        try:
            layer = get_channel_layer()
            channel = await layer.new_channel()
            await layer.group_add(GROUP, channel)
            while True:
                await layer.receive(channel)
                ring_here()
        except Exception as problem:  # noqa: BLE001 - streams read the table every second anyway
            logger.warning("The channel layer passes on no hints: %s", problem)
            await asyncio.sleep(RELAY_PAUSE_S)


class _Ringer(threading.Thread):
    """Rings the shared channel layer, however slow or dead it is, away from everybody who records facts."""

    def __init__(self) -> None:
        super().__init__(name="podi-events-ringer", daemon=True)
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Safe from every thread; returns at once."""
        self._loop.call_soon_threadsafe(self._rung.set)

    def run(self) -> None:
        self._loop.run_until_complete(self._ring_forever())

    async def _ring_forever(self) -> None:
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await get_channel_layer().group_send(GROUP, MESSAGE)
            except Exception as problem:  # noqa: BLE001 - a lost hint costs a second, never a thread
                logger.warning("The channel layer did not take a hint: %s", problem)
                await asyncio.sleep(RINGER_PAUSE_S)


_ringer_lock = threading.Lock()
_current: _Ringer | None = None


def _ringer() -> _Ringer:
    """The thread of this process; a fork does not inherit its parent's."""
    global _current
    ringer = _current
    if ringer is not None and ringer.pid == os.getpid() and ringer.is_alive():
        return ringer
    with _ringer_lock:
        if _current is None or _current.pid != os.getpid() or not _current.is_alive():
            _current = _Ringer()
            _current.start()
        return _current
