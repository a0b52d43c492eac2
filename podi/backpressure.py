"""Streams no faster than the client reads. Daphne's `send` returns at once and gathers what a slow client has not read.

Twisted tells a registered producer when to pause; here the producer is the ASGI application that awaits `send`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import Request
from zope.interface import implementer  # type: ignore[import-untyped]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def hold_back(application: Application) -> Application:
    """The same HTTP application, whose `send` waits for a slow client. Under other servers than daphne: unchanged."""

    async def held_back(scope: Message, receive: Receive, send: Send) -> None:
        request = _daphne_request(send)
        if request is None:
            await application(scope, receive, send)
            return
        gate = _Gate(request)
        try:
            await application(scope, receive, gate.guard(send))
        finally:
            gate.remove()

    return held_back


def _daphne_request(send: Send) -> Request | None:
    """Daphne hands out its `send` as a partial of the server's method and the request."""
    if isinstance(send, partial) and send.args and isinstance(send.args[0], Request):
        return send.args[0]
    return None


@implementer(IPushProducer)
class _Gate:
    """Open while Twisted wants more. Put up only for a body that comes in pieces."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._is_up = False
        self._open = asyncio.Event()
        self._open.set()

    def guard(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            if message.get("more_body"):
                self._put_up()
                await send(message)
                await self._open.wait()
            else:
                self.remove()
                await send(message)

        return guarded

    def remove(self) -> None:
        if self._is_up:
            self._is_up = False
            if self._request.channel is not None:  # none where the client has gone
                self._request.unregisterProducer()  # type: ignore[no-untyped-call]

    def pauseProducing(self) -> None:
        self._open.clear()

    def resumeProducing(self) -> None:
        self._open.set()

    def stopProducing(self) -> None:
        self._open.set()

    def _put_up(self) -> None:
        if not self._is_up and self._request.channel is not None and not self._request.finished:
            self._request.registerProducer(self, True)  # type: ignore[no-untyped-call]
            self._is_up = True
