"""The stream behind the real server: clients that never read make nobody wait. R27."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import websocket
from django.db import connection
from rest_framework_simplejwt.tokens import AccessToken

from podi.base.models import User
from tests.events.facts import record, user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.process]

ROOT = Path(__file__).parents[2]


def database_url() -> str:
    """The test database, for another process."""
    values: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    login = f"{values['USER']}:{quote(values['PASSWORD'] or '', safe='')}"
    return f"mysql://{login}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def port() -> Iterator[int]:
    """A daphne of its own on the test database."""
    number = free_port()
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(number), "podi.asgi:application"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 40
        while time.monotonic() < until and process.poll() is None:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.1)
        yield number
    finally:
        process.terminate()
        process.wait(10)


def bearer(owner: User) -> str:
    token = AccessToken()
    token["sub"] = str(owner.pk)
    return f"Authorization: Bearer {token}"


def follow(port: int, owner: User, query: str = "") -> websocket.WebSocket:
    address = f"ws://127.0.0.1:{port}/api/notify/v1/stream{query}"
    client = websocket.create_connection(address, timeout=10, header=[bearer(owner)])
    assert json.loads(client.recv())["type"] == "hello"
    return client


def next_event(client: websocket.WebSocket) -> dict[str, Any]:
    while (message := json.loads(client.recv()))["type"] == "ping":
        client.send('{"type":"pong"}')
    assert isinstance(message, dict)
    return message


def test_R27_readers_that_never_read_delay_neither_publishing_nor_others(port: int) -> None:
    owner = user()
    frozen = []
    for _ in range(3):
        client = follow(port, owner)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frozen.append(client)
    reader = follow(port, owner)
    text = "x" * 60_000
    slowest_s = 0.0
    started_at = time.monotonic()
    for number in range(100):
        begun = time.monotonic()
        record(owner, n=number, text=text)
        slowest_s = max(slowest_s, time.monotonic() - begun)
    assert [next_event(reader)["payload"]["n"] for _ in range(100)] == list(range(100))
    assert slowest_s < 1
    assert time.monotonic() - started_at < 15  # it took more than a minute where one waited for all
    for client in (*frozen, reader):
        client.shutdown()


def test_an_event_of_another_process_arrives_and_a_restarted_client_goes_on(port: int) -> None:
    owner = user()
    first = follow(port, owner)
    record(owner, n=1)
    seen = next_event(first)
    first.shutdown()
    record(owner, n=2)
    record(user(), n=-1)
    record(owner, n=3)
    again = follow(port, owner, f"?lastEventId={seen['id']}")
    assert [next_event(again)["payload"]["n"] for _ in range(2)] == [2, 3]
    again.shutdown()


def test_a_browser_may_offer_its_token_as_a_subprotocol(port: int) -> None:
    owner = user()
    token = bearer(owner).removeprefix("Authorization: Bearer ")
    client = websocket.create_connection(
        f"ws://127.0.0.1:{port}/api/notify/v1/stream", timeout=10, subprotocols=["podi.v1", f"bearer.{token}"]
    )
    assert client.getsubprotocol() == "podi.v1"
    assert json.loads(client.recv())["type"] == "hello"
    client.shutdown()
