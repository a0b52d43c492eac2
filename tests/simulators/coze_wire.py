"""What every answer of the simulated Coze has in common: the envelope, the log id, the event stream."""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import web

PIECE = 37
"""Streams go out in pieces of this many bytes, so that lines and characters are cut at odd places."""


def log_id() -> str:
    return f"20261123{uuid.uuid4().hex[:20].upper()}"


def ok(data: Any, **more: Any) -> web.Response:
    number = log_id()
    body = {"code": 0, "msg": "", "data": data, "detail": {"logid": number}} | more
    return web.json_response(body, headers={"x-tt-logid": number})


def fail(code: int, message: str, *, status: int = 200, flavour: str = "cloud", **more: Any) -> web.Response:
    number = log_id()
    body: dict[str, Any] = {"code": code, "msg": message} | more
    if flavour == "cloud":
        body["detail"] = {"logid": number}
    return web.json_response(body, status=status, headers={"x-tt-logid": number})


class EventStream:
    """Server-sent events of exactly the lines cozepy reads; characters beyond ASCII are escaped."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "x-tt-logid": log_id()}
        )
        self._count = 0

    async def open(self) -> EventStream:
        await self.response.prepare(self.request)
        return self

    async def send(self, event: str, data: Any, *, numbered: bool = False) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        head = f"id: {self._count}\n" if numbered else ""
        self._count += 1
        await self.write(f"{head}event: {event}\ndata: {text}\n\n")

    async def write(self, text: str) -> None:
        body = text.encode()
        for start in range(0, len(body), PIECE):
            await self.response.write(body[start : start + PIECE])

    async def cut(self) -> web.StreamResponse:
        """Breaks off in the middle of an event."""
        await self.write("event: conversation.mess")
        if self.request.transport is not None:
            self.request.transport.abort()
        return self.response

    async def end(self) -> web.StreamResponse:
        await self.response.write_eof()
        return self.response
