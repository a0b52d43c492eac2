"""DRF views that wait for a task without holding a thread.

A view runs in a small pool of threads; when it answers `WaitFor`, the thread is free and the request sleeps on the
event loop (`abilities.services.waiting`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities.services.waiting import in_thread, wait_for_end


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
        response = await in_thread(lambda: _rendered(view(request, *args, **kwargs)))
        waits = getattr(response, "waits", None)
        if waits is None:
            return response
        await wait_for_end(waits.task_id, seconds=waits.seconds)
        return await in_thread(lambda: _rendered(_finished(response, waits)))

    call.cls = view_class  # type: ignore[attr-defined]
    call.csrf_exempt = True  # type: ignore[attr-defined]
    return call


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
