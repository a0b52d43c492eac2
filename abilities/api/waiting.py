"""DRF views that wait for a task without holding a thread.

A view runs in a small pool of threads; when it answers `WaitFor`, the thread is free and the request sleeps on the
event loop (`abilities.services.waiting`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities.services.waiting import wait_for_end
from podi.base.api.pending import PendingResponse, hand_over


@dataclass(frozen=True, kw_only=True)
class WaitFor:
    """What a view puts into `Response.data` when the answer is still on its way.

    `render` is called in a pool thread at the end of the wait, done or not, and gives the real response.
    """

    task_id: str
    seconds: float
    render: Callable[[], Response]


def awaitable(view_class: type[APIView]) -> Callable[..., HttpResponseBase]:
    """A view around a DRF view whose methods may answer `WaitFor`."""
    view: Any = view_class.as_view()

    @wraps(view)
    def call(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = view(request, *args, **kwargs)
        waits = getattr(response, "data", None)
        if not isinstance(waits, WaitFor):
            return response
        pending = PendingResponse(
            wait=partial(wait_for_end, waits.task_id, seconds=waits.seconds),
            finish=partial(_finish, response, waits, translation.get_language()),
        )
        return hand_over(request, pending)

    return call


def _finish(asked: Any, waits: WaitFor, language: str) -> Response:
    """The final response in the clothes DRF negotiated for the first one, in the caller's language."""
    with translation.override(language):
        response = waits.render()
        for name in ("accepted_renderer", "accepted_media_type", "renderer_context"):
            setattr(response, name, getattr(asked, name))
        for name, value in asked.items():
            if name.lower() not in {"content-type", "content-length"} and name not in response:
                response[name] = value
        response.render()
    return response
