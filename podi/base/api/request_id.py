"""Every request has an id: the caller's X-Request-ID when it is harmless text, else a new one; it is sent back."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from podi.base.ids import new_id

HEADER: Final = "X-Request-ID"
_HARMLESS = re.compile(r"[A-Za-z0-9._:-]{1,64}")

Handler = Callable[[HttpRequest], Any]


def read_request_id(request: Any) -> str:
    """The id of this request (Django's or DRF's); one is made up for a request that skipped the middleware."""
    found: str | None = getattr(request, "request_id", None)
    if found is None:
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        found = sent if _HARMLESS.fullmatch(sent) else new_id()
        request.request_id = found
    return found


@sync_and_async_middleware
def request_id_middleware(get_response: Handler) -> Handler:
    if iscoroutinefunction(get_response):
        handler: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            request_id = read_request_id(request)
            response = await handler(request)
            response.headers[HEADER] = request_id
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        request_id = read_request_id(request)
        response: HttpResponseBase = get_response(request)
        response.headers[HEADER] = request_id
        return response

    return answer
