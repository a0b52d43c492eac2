"""Serves /api/ under ASGI with one hop to a thread for each call; everything else goes to Django's own handler.

Django's ASGI handler gives every request a new thread, with it a new database connection, and hops to it for each
signal and each synchronous part. Here a call takes a thread of a standing pool, runs Django's ordinary synchronous
stack in it and leaves. What waits for a task waits on the event loop (`PendingResponse`) and holds no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from podi.base.api.pending import PendingResponse
from podi.middleware import API_PREFIX

Application = Callable[[Any, Any, Any], Awaitable[None]]
T = TypeVar("T")


def answer_api_first(application: Application) -> Application:
    """Wrap an ASGI application so that calls of the API take the short way."""
    api = ApiHandler()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(API_PREFIX)
        await (api if is_api else application)(scope, receive, send)

    return answer


class ApiHandler(ASGIHandler):
    """Reads and calls that change something have pools of their own, so that reading never waits for a download."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._readers = ThreadPoolExecutor(settings.INVOKE_THREADS, thread_name_prefix="api-read")
        self._writers = ThreadPoolExecutor(settings.INVOKE_THREADS, thread_name_prefix="api-write")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        pool = self._readers if scope["method"] in {"GET", "HEAD", "OPTIONS"} else self._writers
        with closing(body):
            response = await _run(pool, self._answer, scope, body)
            if isinstance(response, PendingResponse):
                if not await _wait(response, receive):
                    return
                response = await _run(pool, self._settle, response)
            if isinstance(response, StreamingHttpResponse):
                await self._stream(pool, response, send)
            else:
                await self.send_response(response, send)

    def _answer(self, scope: Any, body: Any) -> HttpResponseBase:
        """In a thread: the whole of Django's synchronous stack, begin and end of the request included."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        if request is None:
            return self._ended(refusal or HttpResponse(status=400))
        request.can_wait = True  # type: ignore[attr-defined]
        return self._ended(self.get_response(request))

    def _settle(self, pending: PendingResponse) -> HttpResponseBase:
        signals.request_started.send(sender=self.__class__)
        return self._ended(pending.settle())

    def _ended(self, response: HttpResponseBase) -> HttpResponseBase:
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        if not isinstance(response, StreamingHttpResponse):
            response.close()  # its content is complete; the database connection goes back in the thread that used it
        return response

    async def _stream(self, pool: ThreadPoolExecutor, response: StreamingHttpResponse, send: Any) -> None:
        """Part by part, each made in a thread; a client that goes away ends it."""
        headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.headers.items()]
        parts = iter(response)
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            while (part := await _run(pool, next, parts, None)) is not None:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            await _run(pool, response.close)


async def _run(pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


async def _wait(response: PendingResponse, receive: Any) -> bool:
    """False when the client went away first."""
    waiting = asyncio.ensure_future(response.wait())
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        return waiting.done()
    finally:
        waiting.cancel()
        leaving.cancel()
