"""The shared outbound transport, against a real server that misbehaves on request."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from executors.providers.base import (
    Endpoint,
    ProviderBusy,
    ProviderError,
    ProviderRefusedKey,
    ProviderRejected,
    ProviderSilent,
    ProviderUnintelligible,
    ProviderUnreachable,
)
from executors.providers.connections import session_for
from executors.providers.transport import Answer, Redactor, Transport, error_for

SECRET = "invented/secret+7c1d"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        pass

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server: Any = self.server
        server.seen.append((self.command, self.path, body, dict(self.headers), self.client_address))
        path = self.path.partition("?")[0]
        if path == "/silent":
            server.release.wait(5)
            self.close_connection = True
        elif path == "/cut":
            self.close_connection = True
        elif path == "/half":
            self.answer(200, b"half", length=100)
            self.close_connection = True
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            while not server.release.is_set():
                try:
                    self.wfile.write(b"x" * 1000)
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.01)
        elif path == "/away":
            self.answer(302, b"", Location="http://127.0.0.1:1/elsewhere", **{"Set-Cookie": "a=b"})
        elif path == "/echo":
            self.answer(200, body)
        elif path.startswith("/status/"):
            self.answer(int(path.rpartition("/")[2]), f"no: {SECRET}".encode(), **{"Retry-After": "7"})
        elif path == "/html":
            self.answer(200, f"<html>{SECRET}</html>".encode())
        else:
            self.answer(200, b'{"ok": true}', **{"Set-Cookie": "a=b"})

    do_GET = do_POST = handle_any

    def answer(self, status: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Any] = []
        self.release = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def transport(server: Server) -> Transport:
    return Transport(endpoint(f"http://127.0.0.1:{server.server_port}/"))


def endpoint(base_url: str) -> Endpoint:
    return Endpoint(
        kind="x", base_url=base_url, secrets={"key": SECRET}, read_timeout_s=0.3, max_response_bytes=100_000
    )


def test_answers_whole_with_lower_case_headers(transport: Transport) -> None:
    answer = transport.request("GET", "/ok", idempotent=True, params={"q": "ä b"})
    assert (answer.status, answer.is_ok, answer.json()) == (200, True, {"ok": True})
    assert answer.headers["content-length"] == "12"


def test_keeps_no_cookies_follows_no_redirect_and_asks_no_proxy(
    server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert transport.request("GET", "/ok", idempotent=True).is_ok
    answer = transport.request("GET", "/away", idempotent=True)
    assert answer.status == 302
    assert answer.headers["location"] == "http://127.0.0.1:1/elsewhere"
    assert all("Cookie" not in headers for *_, headers, _ in server.seen)


def test_one_connection_serves_one_caller_after_another(server: Server, transport: Transport) -> None:
    for _ in range(3):
        transport.request("POST", "/ok", idempotent=False, json={"a": 1})
    assert len({client for *_, client in server.seen}) == 1


def test_many_threads_share_a_session(server: Server, transport: Transport) -> None:
    def ask(number: int) -> bytes:
        body = str(number).encode() * 50
        assert transport.request("POST", "/echo", idempotent=False, data=body).body == body
        return body

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(ask, range(100)))) == 100


def test_a_large_upload_arrives_whole_with_its_length(server: Server, transport: Transport) -> None:
    transport.request("POST", "/ok", idempotent=False, files={"image": ("a.png", b"z" * 500_000)})
    _, _, body, headers, _ = server.seen[0]
    assert body.count(b"z" * 500_000) == 1
    assert headers["Content-Length"] == str(len(body))
    assert "Transfer-Encoding" not in headers


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://nowhere.invalid", "", "ftp://127.0.0.1", "http://[x"]
)
def test_no_connection_is_surely_not_taken(address: str) -> None:
    with pytest.raises(ProviderUnreachable) as caught:
        Transport(endpoint(address)).request("POST", "/ok", idempotent=False, json={})
    assert caught.value.was_taken is False


def test_no_secure_connection_is_surely_not_taken(server: Server) -> None:
    transport = Transport(endpoint(f"https://127.0.0.1:{server.server_port}"))
    with pytest.raises(ProviderUnreachable):
        transport.request("POST", "/ok", idempotent=False)
    assert server.seen == []


@pytest.mark.parametrize("path", ["/silent", "/cut", "/half"])
def test_R7_a_failure_after_sending_is_unknown_and_nothing_is_sent_again(
    server: Server, transport: Transport, path: str
) -> None:
    with pytest.raises(ProviderSilent) as caught:
        transport.request("POST", path, idempotent=False, json={})
    assert caught.value.was_taken is None
    assert len(server.seen) == 1


@pytest.mark.parametrize("path", ["/silent", "/cut", "/half"])
def test_a_failed_read_may_be_tried_again(transport: Transport, path: str) -> None:
    with pytest.raises(ProviderUnreachable) as caught:
        transport.request("GET", path, idempotent=True)
    assert caught.value.is_retryable


def test_an_endless_answer_ends_at_the_limit_of_bytes(transport: Transport) -> None:
    with pytest.raises(ProviderUnintelligible, match="longer than 5000 bytes"):
        transport.request("GET", "/endless", idempotent=True, max_bytes=5000)


def test_an_answer_that_drips_ends_at_the_total_time(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(ProviderSilent):
        transport.request("POST", "/endless", idempotent=False, timeout_s=0.2)
    assert time.monotonic() - started < 2


def test_an_answer_that_is_no_json_is_unintelligible_and_kept_without_secrets(transport: Transport) -> None:
    with pytest.raises(ProviderUnintelligible) as caught:
        transport.request("GET", "/html", idempotent=True).json()
    assert caught.value.raw == "<html>***</html>"


def test_streams_in_chunks(transport: Transport) -> None:
    assert b"".join(transport.stream("GET", "/ok")) == b'{"ok": true}'


def test_a_stream_that_breaks_off_is_no_whole_file(transport: Transport) -> None:
    with pytest.raises(ProviderUnreachable):
        list(transport.stream("GET", "/half"))


def test_a_stream_over_its_limit_raises(transport: Transport) -> None:
    with pytest.raises(ProviderUnintelligible):
        list(transport.stream("GET", "/endless", max_bytes=3000))


@pytest.mark.parametrize(
    ("status", "idempotent", "error"),
    [
        (429, False, ProviderBusy),
        (503, False, ProviderBusy),
        (401, False, ProviderRefusedKey),
        (402, False, ProviderRefusedKey),
        (403, False, ProviderRefusedKey),
        (400, False, ProviderRejected),
        (404, True, ProviderRejected),
        (500, False, ProviderSilent),
        (502, False, ProviderSilent),
        (502, True, ProviderUnreachable),
        (302, True, ProviderUnintelligible),
    ],
)
def test_the_usual_reading_of_a_status(status: int, idempotent: bool, error: type[ProviderError]) -> None:
    answer = Answer(status=status, headers={"retry-after": "7"}, body=b"words")
    made = error_for(answer, idempotent=idempotent)
    assert type(made) is error
    assert made.raw == "words"
    assert made.retry_after_s == (7 if error is ProviderBusy else None)


def test_a_stream_raises_what_its_status_means(transport: Transport) -> None:
    with pytest.raises(ProviderBusy) as caught:
        list(transport.stream("GET", "/status/429"))
    assert caught.value.retry_after_s == 7
    assert SECRET not in str(caught.value.raw)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("", None),
        ("nan", None),
    ],
)
def test_reads_retry_after(value: str, seconds: float | None) -> None:
    assert Answer(status=429, headers={"retry-after": value}, body=b"").retry_after_s == seconds


def test_errors_carry_no_secret_and_hang_on_no_library_error(server: Server, transport: Transport) -> None:
    for path in ("/cut", "/silent", "/half"):
        with pytest.raises(ProviderError) as caught:
            transport.request("GET", path, idempotent=True, params={"access_token": SECRET})
        error = caught.value
        assert (error.__cause__, error.__context__) == (None, None)
        assert "access_token" not in f"{error} {error!r} {vars(error)}"


def test_the_address_of_an_error_shows_no_password() -> None:
    with pytest.raises(ProviderUnreachable) as caught:
        Transport(endpoint("http://user:invented@127.0.0.1:1")).request("GET", "/", idempotent=True)
    assert "invented" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


def test_redacts_every_form_of_a_secret() -> None:
    redact = Redactor({"a": "ab/cd+ef", "b": "ab/cd", "short": "x"})
    assert redact("ab/cd+ef ab%2Fcd%2Bef ab/cd x") == "*** *** *** x"


def test_a_connection_that_was_idle_for_long_is_not_used_again(server: Server, transport: Transport) -> None:
    transport.request("GET", "/ok", idempotent=True)
    pools = session_for(transport.base_url).adapters["http://"].poolmanager.pools
    (key,) = pools.keys()
    connection = pools[key].pool.queue[-1]
    assert connection.is_connected
    connection._used_at -= 3600
    transport.request("POST", "/ok", idempotent=False)
    assert len({client for *_, client in server.seen}) == 2


def test_a_forked_child_starts_without_the_parents_connections(server: Server, transport: Transport) -> None:
    transport.request("GET", "/ok", idempotent=True)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ok = transport.request("GET", "/ok", idempotent=True).is_ok
            os.write(write_end, b"y" if ok else b"n")
        finally:
            os._exit(0)
    os.close(write_end)
    assert os.read(read_end, 1) == b"y"
    os.waitpid(child, 0)
    os.close(read_end)
    assert len({client for *_, client in server.seen}) == 2


def test_a_port_that_never_accepts_is_unreachable_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        slow = Endpoint(kind="x", base_url=f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.2)
        with pytest.raises(ProviderUnreachable):
            Transport(slow).request("POST", "/", idempotent=False)
        for one in waiting:
            one.close()
