"""`WS /api/notify/v1/stream`: one's own events, resumed after the last one seen. See `docs/events.md`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import timezone

from podi.base.errors import BadRequest, PodiError, RateLimited
from podi.base.phrases import tell
from podi.events import handshake, hub
from podi.events.envelope import iso_utc, to_text
from podi.events.hub import Follower, Item

logger = logging.getLogger(__name__)

RESUME_GRACE_S = 0.3
"""How long a client that named no lastEventId may still send `resume` before events begin."""
MAX_UNANSWERED_CHARS = 4 * 1024 * 1024
"""Sent at most without a word from the client: the server buffers for one that does not read, this bounds it."""
PING_EVERY_CHARS = 256 * 1024
MAX_MESSAGE_CHARS = 4096
MAX_MESSAGES = 100
MESSAGE_WINDOW_S = 10.0

CLOSE_ERROR = 1011
CLOSE_TOO_BIG = 1009
CLOSE_BAD_MESSAGE = 4400
CLOSE_UNAUTHENTICATED = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_NOT_FOUND = 4404
CLOSE_TOO_SLOW = 4408
CLOSE_TOO_MANY = 4429
_CLOSE_BY_STATUS = {401: CLOSE_UNAUTHENTICATED, 404: CLOSE_UNAUTHENTICATED, 403: CLOSE_FORBIDDEN, 429: CLOSE_TOO_MANY}

_open: Counter[str] = Counter()
"""Open streams of this process by user."""


class EventStream(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One connection. Everything is sent by one task of its own, which nobody who records events ever waits for."""

    visitor: handshake.Visitor | None = None
    sees_all = False
    start: int | None = None
    sender: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self.resumed = asyncio.Event()
        self.heard = asyncio.Event()
        self.message_times: list[float] = []
        self.unanswered_chars = 0
        self.unpinged_chars = 0
        offered = self.scope.get("subprotocols", [])
        # Accepted first: a refusal before that reaches a client as a bare 403, without a code.
        await self.accept(subprotocol=handshake.SUBPROTOCOL if handshake.SUBPROTOCOL in offered else None)
        try:
            wish = handshake.read_wish(self.scope)
            self.sees_all, self.start = wish.sees_all, wish.last_event_id
            visitor = await handshake.identify(self.scope, sees_all=self.sees_all)
            if _open[visitor.user.pk] >= settings.STREAM_MAX_PER_USER:
                raise RateLimited
        except PodiError as error:
            await self._refuse(error)
            return
        self.visitor = visitor
        _open[visitor.user.pk] += 1
        self.sender = asyncio.create_task(self._run(), name="podi-stream-sender")

    async def disconnect(self, code: int) -> None:
        self._stop_sender()
        if self.sender is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self.sender
        if self.visitor is not None:
            user_id, self.visitor = self.visitor.user.pk, None
            _open[user_id] -= 1
            if _open[user_id] <= 0:
                del _open[user_id]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Three small messages are understood; nothing a client says reaches anybody else."""
        if self.visitor is None:
            return
        if text_data is None or len(text_data) > MAX_MESSAGE_CHARS:
            await self.close(code=CLOSE_TOO_BIG if text_data or bytes_data else CLOSE_BAD_MESSAGE)
            return
        self.unanswered_chars = 0
        self.heard.set()
        try:
            self._check_rate()
            await self._answer(_read_message(text_data))
        except PodiError as error:
            self._stop_sender()
            await self._refuse(error)

    async def _answer(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ping":
            await self._send(to_text({"type": "pong", "timestamp": _now()}))
        elif kind == "resume":
            if self.start is not None:
                raise BadRequest("The stream has begun already; give lastEventId in the address or resume at once.")
            self.start = handshake.read_event_id(message.get("lastEventId"))
            self.resumed.set()
        elif kind != "pong":
            raise BadRequest("Known messages are resume, ping and pong.")

    async def _run(self) -> None:
        """The sender: follows and keeps checking that its reader may, until one of both ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._keep_checking())
        except* TimeoutError:
            await self.close(code=CLOSE_TOO_SLOW)
        except* PodiError as errors:
            await self._refuse(next(error for error in errors.exceptions if isinstance(error, PodiError)))
        except* Exception:  # the boundary of a connection: it ends, the process does not
            logger.exception("A stream ended in an error of ours")
            await self.close(code=CLOSE_ERROR)

    async def _follow(self) -> None:
        assert self.visitor is not None
        follower = Follower(owner_id=None if self.sees_all else self.visitor.user.pk)
        position = await hub.hub().join(follower)
        try:
            cursor = await self._begin(position)
            while True:
                async for page in hub.read_pages(after=cursor, through=position, owner_id=follower.owner_id):
                    for item in page:
                        await self._send_item(item)
                cursor = await self._send_live(follower, cursor=max(cursor, position))
                position = await hub.hub().join(follower)
        finally:
            hub.hub().leave(follower)

    async def _begin(self, position: int) -> int:
        """Say hello; the sequence after which this client is served."""
        if self.start is None:
            await self._send_hello(position)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESUME_GRACE_S):
                    await self.resumed.wait()
            if self.start is None:
                self.start = position
                return position
        else:
            await self._send_hello(self.start)
        cursor, is_incomplete = await hub.where_to_resume(self.start)
        if is_incomplete:
            await self._send(to_text({"type": "resync", "lastEventId": cursor, "timestamp": _now()}))
        return cursor

    async def _send_live(self, follower: Follower, *, cursor: int) -> int:
        """Send what is offered until the follower falls behind; the last sequence sent."""
        while not follower.is_behind:
            item = await follower.next(timeout_s=settings.STREAM_HEARTBEAT_S)
            if item is not None and item.sequence > cursor:
                await self._send_item(item)
                cursor = item.sequence
            elif item is None and not follower.is_behind:
                await self._send_ping()
        return cursor

    async def _send_item(self, item: Item) -> None:
        """Pauses when the client has not said a word for long; raises TimeoutError when it still does not."""
        self.unanswered_chars += len(item.text)
        self.unpinged_chars += len(item.text)
        if self.unanswered_chars > MAX_UNANSWERED_CHARS:
            self.heard.clear()
            async with asyncio.timeout(settings.STREAM_ANSWER_S):
                await self.heard.wait()
        await self._send(item.text)
        if self.unpinged_chars > PING_EVERY_CHARS:
            await self._send_ping()

    async def _send_ping(self) -> None:
        self.unpinged_chars = 0
        await self._send(to_text({"type": "ping", "timestamp": _now()}))

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(settings.STREAM_ANSWER_S):
            await self.send(text_data=text)

    async def _send_hello(self, last_event_id: int) -> None:
        await self._send(to_text({"type": "hello", "lastEventId": last_event_id, "timestamp": _now()}))

    async def _keep_checking(self) -> None:
        """A token that expires or is revoked, and a user who is switched off, end the stream soon."""
        while self.visitor is not None:
            await asyncio.sleep(settings.STREAM_CHECK_S)
            with contextlib.suppress(RateLimited):
                await handshake.check_again(self.scope, self.visitor, sees_all=self.sees_all)

    async def _refuse(self, error: PodiError) -> None:
        payload = {"detail": error.detail, "message": tell(error.text), "retryable": error.retryable}
        await self._send(to_text({"type": "error", "payload": payload, "timestamp": _now()}))
        await self.close(code=_CLOSE_BY_STATUS.get(error.status, CLOSE_BAD_MESSAGE))

    def _check_rate(self) -> None:
        now = time.monotonic()
        self.message_times = [at for at in self.message_times if at > now - MESSAGE_WINDOW_S]
        self.message_times.append(now)
        if len(self.message_times) > MAX_MESSAGES:
            raise RateLimited

    def _stop_sender(self) -> None:
        if self.sender is not None:
            self.sender.cancel()


class NoSuchStream(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Every other WebSocket address."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(code=CLOSE_NOT_FOUND)


def _read_message(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        raise BadRequest("A message is a JSON object.") from None
    if not isinstance(message, dict):
        raise BadRequest("A message is a JSON object.")
    return message


def _now() -> str:
    return iso_utc(timezone.now())
