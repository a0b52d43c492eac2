"""A server of files that misbehaves as told: lies about length, drips, breaks off, redirects, talks garbage."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class File:
    """How one path is answered. `declared`: the Content-Length to claim (None: the truth, -1: none at all).

    `cut_after`: close after so many bytes of the body. `drip_s`: the pause between single bytes of `drip` ("head" or
    "body"). `raw`: exactly these bytes instead of an HTTP answer.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    declared: int | None = None
    is_chunked: bool = False
    cut_after: int | None = None
    drip: str = ""
    drip_s: float = 0.05
    raw: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class FileServer:
    """`with FileServer() as server: server.files["/a.png"] = File(body=...); server.url("/a.png")`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, File] = {}
        self.journal: list[Asked] = []
        self.stopping = threading.Event()
        self._scheme = "https" if tls else "http"
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._server.tls = tls
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    owner: FileServer
    tls: ssl.SSLContext | None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or refuses our certificate, is part of the play."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def setup(self) -> None:
        if self.server.tls is not None:
            self.request.settimeout(5)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        owner = self.server.owner
        while asked := self._read():
            owner.journal.append(asked)
            file = owner.files.get(asked.path.partition("?")[0], File(status=404, body=b"nothing here"))
            if not self._answer(file, asked.method):
                return

    def _read(self) -> Asked | None:
        line = self.rfile.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers: dict[str, str] = {}
        while text := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = text.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        return Asked(method=line[0], path=line[1], headers=headers, body=body)

    def _answer(self, file: File, method: str) -> bool:
        """True when the connection may go on."""
        if file.raw is not None:
            self._send(file.raw, slowly=False, file=file)
            return False
        headers = dict(file.headers)
        if file.is_chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif file.declared != -1:
            headers.setdefault("Content-Length", str(len(file.body) if file.declared is None else file.declared))
        head = f"HTTP/1.1 {file.status} Simulated\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        self._send(head.encode("utf-8"), slowly=file.drip == "head", file=file)
        if method == "HEAD":
            return True
        body = file.body if file.cut_after is None else file.body[: file.cut_after]
        if file.is_chunked:
            parts = [body[i : i + 1000] for i in range(0, len(body), 1000)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
            body += b"" if file.cut_after is not None else b"0\r\n\r\n"
        self._send(body, slowly=file.drip == "body", file=file)
        return file.declared is None and file.cut_after is None

    def _send(self, data: bytes, *, slowly: bool, file: File) -> None:
        if not slowly:
            self.wfile.write(data)
            return
        for position in range(len(data)):
            self.wfile.write(data[position : position + 1])
            if self.server.owner.stopping.wait(file.drip_s):
                return
