"""The doorbell: rings in this process, through Redis to others, and never makes anybody wait."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from django.conf import settings as django_settings

from podi.events import hints


async def test_a_ring_from_any_thread_wakes_a_listener_once() -> None:
    listener = hints.Listener()
    threading.Thread(target=hints.ring).start()
    assert await listener.wait(timeout_s=5)
    assert not await listener.wait(timeout_s=0.05)


async def test_rings_while_nobody_waits_are_not_lost() -> None:
    listener = hints.Listener()
    for _ in range(3):
        hints.ring()
    await asyncio.sleep(0.05)
    assert await listener.wait(timeout_s=1)


def test_a_listener_of_a_closed_loop_is_forgotten() -> None:
    async def make() -> hints.Listener:
        return hints.Listener()

    listener = asyncio.run(make())
    hints.ring()
    assert listener not in hints._listeners


@pytest.mark.skipif(not django_settings.REDIS_URL, reason="needs REDIS_URL: `make test-services`")
async def test_a_ring_crosses_processes_through_the_channel_layer() -> None:
    relay = asyncio.create_task(hints.relay())
    try:
        listener = hints.Listener()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            hints._ringer().ring()  # as another process would: without waking this one directly
            if await listener.wait(timeout_s=0.2):
                return
        pytest.fail("nothing came through")
    finally:
        relay.cancel()


def test_ringing_a_dead_channel_layer_takes_no_time(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    started_at = time.monotonic()
    for _ in range(100):
        hints.ring()
    assert time.monotonic() - started_at < 0.5
