"""A bare ASGI application for a daphne of its own: `/stream` sends 100 MB in pieces, `/sent` says how far it got."""

from __future__ import annotations

from typing import Any

from podi.backpressure import hold_back

PIECE = bytes(250_000)
PIECES = 400
sent = 0


async def stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
    global sent
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/sent":
        await send({"type": "http.response.body", "body": str(sent).encode()})
        return
    sent = 0
    for _ in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        sent += len(PIECE)
    await send({"type": "http.response.body", "body": b""})


application = hold_back(stream)
