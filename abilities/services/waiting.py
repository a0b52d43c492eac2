"""Waiting for a task's end without holding a thread: the part of a request that sleeps is a coroutine.

One watcher per process and event loop asks the table about all awaited tasks together. So a thousand callers who wait
cost one query per tick.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import Error, close_old_connections

from abilities.models import Task

logger = logging.getLogger(__name__)

MIN_TICK_S, MAX_TICK_S = 0.03, 0.25
T = TypeVar("T")

_threads = ThreadPoolExecutor(settings.INVOKE_THREADS, thread_name_prefix="invoke")
_watchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watcher] = weakref.WeakKeyDictionary()


async def in_thread(work: Callable[[], T]) -> T:
    """Run the short synchronous part of a request in the pool of INVOKE_THREADS."""

    def run() -> T:
        close_old_connections()
        return work()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


async def wait_for_end(task_id: str, *, seconds: float) -> bool:
    """Sleep until the task has ended, at most so long. True when it ended in time."""
    loop = asyncio.get_running_loop()
    if loop not in _watchers:
        _watchers[loop] = _Watcher()
    return await _watchers[loop].wait(task_id, seconds)


class _Watcher:
    """Knows which tasks are awaited on one event loop and wakes those who wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def wait(self, task_id: str, seconds: float) -> bool:
        """True when the task ended in time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task_id, set()).add(future)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(seconds):  # not `wait_for`, which can lose a cancellation in 3.11
                await future
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting.get(task_id, set())
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(task_id, None)
        return True

    async def _run(self) -> None:
        tick_s = MIN_TICK_S
        while self._waiting:
            await asyncio.sleep(tick_s)
            try:
                ended = await in_thread(partial(_ended, tuple(self._waiting)))
            except Error:
                # The database is away for a moment: those who wait go on waiting, each for its own time.
                logger.warning("could not look at %d awaited tasks", len(self._waiting), exc_info=True)
                ended = []
            tick_s = MIN_TICK_S if ended else min(MAX_TICK_S, tick_s * 1.5)
            for task_id in ended:
                for future in self._waiting.get(task_id, ()):
                    if not future.done():
                        future.set_result(None)
            await asyncio.sleep(0)


def _ended(task_ids: tuple[str, ...]) -> list[str]:
    return list(Task.objects.filter(pk__in=task_ids, state__in=Task.TERMINAL).values_list("id", flat=True))
