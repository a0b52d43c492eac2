"""Leads many chats in one process: those asked for, and those that another process left open."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Final

import httpx
from cozepy import AsyncCoze, AsyncHTTPClient, AsyncTokenAuth
from django.conf import settings

from abilities import services as abilities
from coze_plugin import services
from coze_plugin.bridge import records
from coze_plugin.bridge.plugin import LocalTool, local_tools
from coze_plugin.bridge.talking import Desk, LostClaim, Talk
from coze_plugin.bridge.tools import Toolbox
from coze_plugin.models import BridgeChat
from executors.errors import CozeNotConfigured
from podi.base.services import ensure_service_user

log = logging.getLogger(__name__)

SCAN_S: Final = 1.0
RETRY_S: Final = 10.0
SILENCE_S: Final = 120.0
"""A stream that says nothing for so long is taken for broken, and the chat is looked up."""
DEFAULT_WAIT_S: Final = 240.0
"""So long a tool waits for its task before it answers `running`; Coze's reading side has 600 s."""


def chosen_tools(names: Sequence[str]) -> dict[str, LocalTool]:
    """The tools of these abilities (id, `provider/key` or tool name); of all that are offered to Coze where none is
    named. Raises KeyError with a name that is none of them."""
    offers = services.offers()
    everything = local_tools(offers)
    if not names:
        return everything
    by_name = {key: offer for offer in offers for key in (offer.ability.pk, offer.name)}
    by_name |= {tool.name: tool.offer for tool in everything.values() if tool.offer is not None}
    return local_tools([by_name[name] for name in dict.fromkeys(names)])


def open_desk(names: Sequence[str] = (), *, wait_s: float = DEFAULT_WAIT_S, pause_s: float = 1.0) -> Desk:
    """Coze's account from the settings, the tools, and a name under which chats are claimed. Raises
    CozeNotConfigured. Database work."""
    given = settings.PROVIDER_ENDPOINTS.get("coze")
    if given is None:
        raise CozeNotConfigured()
    timeout = httpx.Timeout(SILENCE_S, connect=5.0)
    client = AsyncHTTPClient(timeout=timeout, trust_env=False)  # type: ignore[no-untyped-call]
    coze = AsyncCoze(auth=AsyncTokenAuth(given["secrets"]["token"]), base_url=given["base_url"], http_client=client)

    async def upload(name: str, data: bytes) -> str:
        return (await coze.files.upload(file=(name, data))).id

    toolbox = Toolbox(actor=ensure_service_user(), tools=chosen_tools(names), wait_s=wait_s, upload=upload)
    claimer = f"{socket.gethostname()[:24]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return Desk(coze=coze, toolbox=toolbox, claimer=claimer, pause_s=pause_s)


async def serve(desk: Desk, *, at_once: int, stop: asyncio.Event, once: bool = False) -> int:
    """Lead chats until `stop` is set; with `once` until none is left. Gives how many were led."""
    led = 0
    open_talks: set[asyncio.Task[None]] = set()
    try:
        while not stop.is_set():
            room = at_once - len(open_talks)
            rows = await abilities.in_thread(partial(records.claim_due, desk.claimer, limit=room)) if room > 0 else []
            for row in rows:
                open_talks.add(asyncio.create_task(lead(desk, row)))
                led += 1
            if once and not open_talks:
                return led
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({stopped, *open_talks}, timeout=SCAN_S, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            open_talks = {talk for talk in open_talks if not talk.done()}
    finally:
        for talk in open_talks:
            talk.cancel()
        await asyncio.gather(*open_talks, return_exceptions=True)
    return led


async def ask(desk: Desk, *, bot_id: str, coze_user_id: str, question: str, conversation_id: str = "") -> BridgeChat:
    """One chat from here, to its end; what became of it is in the row."""

    def begin() -> BridgeChat | None:
        row = records.add(bot_id=bot_id, coze_user_id=coze_user_id, question=question, conversation_id=conversation_id)
        return records.claim(row.pk, desk.claimer)

    row = await abilities.in_thread(begin)
    assert row is not None
    await lead(desk, row)
    await abilities.in_thread(row.refresh_from_db)
    return row


async def lead(desk: Desk, row: BridgeChat) -> None:
    """One claimed chat to its end. If this process is stopped, the claim is given back and another goes on."""
    talk = asyncio.create_task(Talk(desk=desk, row=row).lead())
    renewing = asyncio.create_task(_renew(desk, row))
    pause_s = 0.0
    try:
        await asyncio.wait({talk, renewing}, return_when=asyncio.FIRST_COMPLETED)
        error = talk.exception() if talk.done() else LostClaim()
        if isinstance(error, LostClaim):
            log.info("chat %s is led by another process now", row.pk)
        elif error is not None:  # it must not end the other chats; it is tried again after a pause
            log.error("chat %s broke off", row.pk, exc_info=error)
            pause_s = RETRY_S
    finally:
        for task in (talk, renewing):
            task.cancel()
        await asyncio.gather(talk, renewing, return_exceptions=True)
        await abilities.in_thread(partial(records.release, row.pk, desk.claimer, pause_s=pause_s))


async def _renew(desk: Desk, row: BridgeChat) -> None:
    """Ends when the claim is no longer ours."""
    while await abilities.in_thread(partial(records.renew, row.pk, desk.claimer)):
        await asyncio.sleep(records.RENEW_S)
