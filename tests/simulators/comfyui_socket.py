"""The WebSocket of the simulated ComfyUI, with the traps of the real one: see `Hub.connect`."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web


class Hub:
    """The connected sockets by client id. `send` may be called from any thread."""

    def __init__(self) -> None:
        self.sockets: dict[Any, web.WebSocketResponse] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.frames: list[dict[str, Any]] = []

    def send(self, kind: str, data: dict[str, Any], client_id: Any) -> None:
        frame = {"type": kind, "data": data}
        self.frames.append({**frame, "client_id": client_id})
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._post, json.dumps(frame), client_id)

    async def connect(self, request: web.Request, first_frames: list[dict[str, Any]]) -> web.WebSocketResponse:
        """Serves one socket.

        A second one with the same client id takes over while the first stays open and silent; when the first closes,
        the id is forgotten and the second goes deaf while it stays open.
        """
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets.pop(client_id, None)
        self.sockets[client_id] = socket
        first_frames[0]["data"]["sid"] = client_id
        try:
            for frame in first_frames:
                await socket.send_json(frame)
            async for message in socket:
                if message.type == WSMsgType.TEXT and '"feature_flags"' in message.data:
                    flags = {"supports_preview_metadata": True, "max_upload_size": 104857600}
                    await socket.send_json({"type": "feature_flags", "data": flags})
        finally:
            self.sockets.pop(client_id, None)
        return socket

    async def close_all(self) -> None:
        """Cuts every connection as the end of the process would."""
        for socket in list(self.sockets.values()):
            transport = socket._req.transport if socket._req is not None else None  # no public way to cut it
            if transport is not None:
                transport.abort()
        self.sockets.clear()

    def _post(self, text: str, client_id: Any) -> None:
        if client_id is None:
            targets = list(self.sockets.values())
        else:
            targets = [self.sockets[client_id]] if client_id in self.sockets else []
        for socket in targets:
            task = asyncio.ensure_future(_send_text(socket, text))
            task.add_done_callback(lambda done: done.exception())


async def _send_text(socket: web.WebSocketResponse, text: str) -> None:
    with suppress(ConnectionError, RuntimeError):
        await socket.send_str(text)
