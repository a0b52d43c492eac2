"""What every request gets first: an id, which is sent back, and the length of a body that came in chunks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from os import SEEK_END
from tempfile import SpooledTemporaryFile
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


def note_length(request: HttpRequest) -> None:
    """A chunked body states no length, and DRF takes that for no body. Under ASGI it lies here whole, so measure it."""
    stream = getattr(request, "_stream", None)
    if isinstance(stream, SpooledTemporaryFile) and "CONTENT_LENGTH" not in request.META:
        request.META["CONTENT_LENGTH"] = str(stream.seek(0, SEEK_END) or stream.tell())
        stream.seek(0)


@sync_and_async_middleware
def request_id_middleware(get_response: Handler) -> Handler:
    if iscoroutinefunction(get_response):
        handler: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            request_id = read_request_id(request)
            note_length(request)
            response = await handler(request)
            response.headers[HEADER] = request_id
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        request_id = read_request_id(request)
        note_length(request)
        response: HttpResponseBase = get_response(request)
        response.headers[HEADER] = request_id
        return response

    return answer
