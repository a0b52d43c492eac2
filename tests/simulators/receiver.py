"""A receiver of callbacks: a real HTTP server with a journal, that misbehaves as told."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How one request is answered. `cut`: the connection is reset instead. `hang`: nothing until the receiver stops."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    delay_s: float = 0
    cut: bool = False
    hang: bool = False


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request as it arrived; `headers` by lower-case name."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


class Receiver:
    """`with Receiver() as receiver: receiver.url("/hook")`; replies of a path are used up in order, then `usual`."""

    def __init__(self, *, usual: Reply | None = None, host: str = "127.0.0.1") -> None:
        self.usual = usual or Reply()
        self.journal: list[Received] = []
        self.busy = 0
        self.busiest = 0
        self._replies: dict[str, deque[Reply]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server((host, 0), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def url(self, path: str = "/hook") -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}{path}"

    def script(self, *replies: Reply, path: str = "/hook") -> None:
        self._replies[path].extend(replies)

    def received(self, path: str = "/hook") -> list[Received]:
        return [request for request in list(self.journal) if request.path == path]

    def wait_for(self, count: int, *, path: str = "/hook", timeout_s: float = 10) -> list[Received]:
        until = time.monotonic() + timeout_s
        while len(self.received(path)) < count and time.monotonic() < until:
            time.sleep(0.01)
        return self.received(path)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def take_reply(self, request: Received) -> Reply:
        with self._lock:
            self.journal.append(request)
            replies = self._replies[request.path]
            return replies.popleft() if replies else self.usual

    def count_busy(self, step: int) -> None:
        with self._lock:
            self.busy += step
            self.busiest = max(self.busiest, self.busy)

    def wait_until_stopped(self) -> None:
        self._stopping.wait(60)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = receiver.take_reply(Received(path=self.path, headers=headers, body=body, at=time.monotonic()))
        receiver.count_busy(1)
        try:
            self._answer(reply)
        finally:
            receiver.count_busy(-1)

    def _answer(self, reply: Reply) -> None:
        if reply.hang:
            self.server.receiver.wait_until_stopped()
            self.close_connection = True
            return
        time.sleep(reply.delay_s)
        if reply.cut:
            # A reset, not an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):  # after a reset there is nothing to flush
            return

    def log_message(self, format: str, *args: Any) -> None:
        """The journal is the log."""
