"""Scripted misbehaviour of a simulated server: what goes wrong, with which request, how often."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Kind = Literal["hang", "cut", "cut_after", "cut_answer", "hang_after", "status", "slow", "slow_body", "garbage"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class Fault:
    """One rule. `route` is "METHOD /path", a prefix ending in *, or * alone; `times` counts down, None is for ever.

    hang, cut: before the request is looked at. hang_after, cut_after: it is done, but no answer comes. cut_answer: it
    is done and the answer breaks off. status: answers `status`, `headers` and `body` instead. garbage: 200 with
    `body`. slow: waits `seconds` first. slow_body: answers in drips of `seconds` each.
    """

    route: str
    kind: Kind
    times: int | None = 1
    status: int = 500
    body: str = "<html><body><h1>502 Bad Gateway</h1></body></html>"
    content_type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.2

    def matches(self, route: str) -> bool:
        return route == self.route or (self.route.endswith("*") and route.startswith(self.route[:-1]))


class Faults:
    """The rules in force and the journal of every request. Safe to use from several threads."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()
        self.journal: list[dict[str, Any]] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._rules.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, route: str) -> Fault | None:
        with self._lock:
            for fault in self._rules:
                if fault.matches(route) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Writes the journal and lets the next fitting rule happen. The simulator's own pages stay out of both."""
        path = request.path.removeprefix("/api") or "/"
        if path.startswith("/_sim"):
            return await handler(request)
        entry: dict[str, Any] = {
            "method": request.method,
            "path": path,
            "query": dict(request.query),
            "headers": dict(request.headers),
            "at": time.time(),
            "status": None,
        }
        self.journal.append(entry)
        if request.content_type == "application/json" and (request.content_length or 0) < 1_000_000:
            entry["body"] = (await request.read()).decode("utf-8", errors="replace")
        fault = self.take(f"{request.method} {path}")
        response = await (self._misbehave(fault, request, handler) if fault else handler(request))
        entry["status"] = response.status
        return response

    async def _misbehave(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.kind in ("cut_after", "hang_after"):
            await handler(request)
        if fault.kind in ("cut", "cut_after"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=499)
        if fault.kind in ("hang", "hang_after"):
            await asyncio.sleep(3600)
        if fault.kind in ("status", "garbage"):
            status = fault.status if fault.kind == "status" else 200
            return web.Response(status=status, text=fault.body, content_type=fault.content_type, headers=fault.headers)
        if fault.kind == "cut_answer":
            return await _break_off(request, await handler(request))
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = await handler(request)
        return await _drip(request, response, fault.seconds) if fault.kind == "slow_body" else response


async def _break_off(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Announces the whole answer, sends the beginning and cuts the connection."""
    broken = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
    broken.content_length = 1000
    await broken.prepare(request)
    await broken.write(b'{"')
    if request.transport is not None:
        request.transport.close()
    return broken


async def _drip(request: web.Request, response: web.StreamResponse, seconds: float) -> web.StreamResponse:
    if isinstance(response, web.FileResponse):
        body = response._path.read_bytes()  # no public way to its bytes
    else:
        body = bytes(response.body) if isinstance(response, web.Response) and response.body else b""
    slow = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
    slow.content_length = len(body)
    await slow.prepare(request)
    step = max(1, len(body) // 4)
    for start in range(0, len(body), step):
        await slow.write(body[start : start + step])
        await asyncio.sleep(seconds)
    await slow.write_eof()
    return slow
