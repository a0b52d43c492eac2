"""A client that does not read must not make the web process gather the file for it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

TOTAL = 100_000_000


@pytest.fixture
def daphne() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([*command, "tests.media.streaming_app:application"], cwd=root)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.process
def test_a_stream_waits_for_its_reader_and_survives_one_that_leaves(daphne: int) -> None:
    address = f"http://127.0.0.1:{daphne}"
    reader = socket.create_connection(("127.0.0.1", daphne))
    reader.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.7)
    held = int(requests.get(f"{address}/sent", timeout=5).text)
    time.sleep(0.3)
    assert int(requests.get(f"{address}/sent", timeout=5).text) == held
    assert held < TOTAL / 4
    reader.close()
    assert len(requests.get(f"{address}/stream", timeout=20).content) == TOTAL
    assert len(requests.get(f"{address}/stream", timeout=20).content) == TOTAL
