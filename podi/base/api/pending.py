"""A response that is not there yet: what a view returns when the answer must be waited for without holding a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse


class PendingResponse(HttpResponse):
    """`wait` sleeps on the event loop; afterwards `finish`, called in a thread, gives the real response.

    Middleware sees this one; `settle` moves the headers it set to the real one.
    """

    def __init__(self, *, wait: Callable[[], Awaitable[Any]], finish: Callable[[], HttpResponse]) -> None:
        super().__init__()
        del self["Content-Type"]
        self.wait = wait
        self.finish = finish

    def settle(self) -> HttpResponse:
        response = self.finish()
        for name, value in self.items():
            response.headers.setdefault(name, value)
        return response


def hand_over(request: HttpRequest, pending: PendingResponse) -> HttpResponse:
    """The pending response itself where the handler knows how to wait; elsewhere (WSGI, tests) this thread waits."""
    if getattr(request, "can_wait", False):
        return pending
    async_to_sync(pending.wait)()
    return pending.settle()
