"""Waiting for a task without holding a thread: the part of a request that sleeps is a coroutine.

A view runs in a small pool of threads; when it answers `WaitFor`, the thread is free, the request sleeps on the event
loop, and one watcher per process asks the table about all awaited tasks together. So a thousand callers who wait cost
one query per tick.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities.models import Task

MIN_TICK_S, MAX_TICK_S = 0.03, 0.25

_threads = ThreadPoolExecutor(settings.INVOKE_THREADS, thread_name_prefix="invoke")
_watchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watcher] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class WaitFor:
    """What a view puts into `Response.data` when the answer is still on its way.

    `render` is called in a pool thread at the end of the wait, done or not, and gives the real response.
    """

    task_id: str
    seconds: float
    render: Callable[[], Response]


def awaitable(view_class: type[APIView]) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
    """An async view around a DRF view whose methods may answer `WaitFor`."""
    view: Any = view_class.as_view()

    @wraps(view)
    async def call(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = await _in_thread(lambda: _rendered(view(request, *args, **kwargs)))
        waits = getattr(response, "waits", None)
        if waits is None:
            return response
        await _watcher().wait(waits.task_id, waits.seconds)
        return await _in_thread(lambda: _rendered(_finished(response, waits)))

    call.cls = view_class  # type: ignore[attr-defined]
    call.csrf_exempt = True  # type: ignore[attr-defined]
    return call


async def _in_thread(work: Callable[[], Any]) -> Any:
    def run() -> Any:
        close_old_connections()
        return work()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


def _rendered(response: Any) -> Any:
    data = getattr(response, "data", None)
    if isinstance(data, WaitFor):
        response.waits = data
        return response
    if hasattr(response, "render"):
        response.render()
    return response


def _finished(asked: Any, waits: WaitFor) -> Response:
    """The final response in the clothes DRF negotiated for the first one."""
    response = waits.render()
    for name in ("accepted_renderer", "accepted_media_type", "renderer_context"):
        setattr(response, name, getattr(asked, name))
    for name, value in asked.items():
        if name.lower() not in {"content-type", "content-length"} and name not in response:
            response[name] = value
    return response


def _watcher() -> _Watcher:
    loop = asyncio.get_running_loop()
    if loop not in _watchers:
        _watchers[loop] = _Watcher()
    return _watchers[loop]


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
            await asyncio.wait_for(future, seconds)
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
            ended = await _in_thread(partial(_ended, tuple(self._waiting)))
            tick_s = MIN_TICK_S if ended else min(MAX_TICK_S, tick_s * 1.5)
            for task_id in ended:
                for future in self._waiting.get(task_id, ()):
                    if not future.done():
                        future.set_result(None)
            await asyncio.sleep(0)


def _ended(task_ids: tuple[str, ...]) -> list[str]:
    return list(Task.objects.filter(pk__in=task_ids, state__in=Task.TERMINAL).values_list("id", flat=True))
