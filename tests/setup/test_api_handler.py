"""The short way of an API call under ASGI: one thread of a standing pool, none while it waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path

from podi.api_handler import ApiHandler, answer_api_first
from podi.base.api.pending import PendingResponse, hand_over

released = threading.Event()
waiting_left: list[str] = []


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.current_thread().name + request.body.decode())


def patient(request: HttpRequest) -> HttpResponse:
    async def wait() -> None:
        try:
            while not released.is_set():
                await asyncio.sleep(0.01)
        finally:
            waiting_left.append("left")

    return hand_over(request, PendingResponse(wait=wait, finish=lambda: HttpResponse("done", headers={"X-Mine": "1"})))


def rows(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(f"row {number}\n" for number in range(3))


urlpatterns = [path("api/who", who), path("api/patient", patient), path("api/rows", rows)]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    released.clear()
    waiting_left.clear()
    yield
    released.set()


def communicator(handler: Any, name: str, *, method: str = "GET") -> ApplicationCommunicator:
    scope = {"type": "http", "method": method, "path": name, "headers": [], "query_string": b"", "root_path": ""}
    return ApplicationCommunicator(handler, scope)


async def call(handler: Any, name: str, *, method: str = "GET", body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    talk = communicator(handler, name, method=method)
    await talk.send_input({"type": "http.request", "body": body})
    start = await talk.receive_output(5)
    content, more = b"", True
    while more:
        part = await talk.receive_output(5)
        content, more = content + part.get("body", b""), part.get("more_body", False)
    await talk.wait()
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, content


async def test_reading_and_changing_use_pools_of_their_own() -> None:
    handler = ApiHandler()
    assert (await call(handler, "/api/who"))[2].startswith(b"api-read")
    status, headers, content = await call(handler, "/api/who", method="POST", body=b" hello")
    assert (status, content.startswith(b"api-write"), content.endswith(b" hello")) == (200, True, True)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Request-ID"]


async def test_more_callers_than_threads_wait_without_a_thread() -> None:
    handler = ApiHandler()
    calls = [asyncio.create_task(call(handler, "/api/patient", method="POST")) for _ in range(40)]
    await asyncio.sleep(0.1)
    assert (await call(handler, "/api/who", method="POST"))[0] == 200
    released.set()
    answers = await asyncio.gather(*calls)
    assert {(status, content) for status, _headers, content in answers} == {(200, b"done")}
    assert all(headers["X-Mine"] == "1" and headers["X-Request-ID"] for _status, headers, _content in answers)


async def test_a_caller_who_goes_away_ends_the_wait() -> None:
    talk = communicator(ApiHandler(), "/api/patient")
    await talk.send_input({"type": "http.request"})
    await asyncio.sleep(0.1)
    await talk.send_input({"type": "http.disconnect"})
    await talk.wait(5)
    assert waiting_left == ["left"]


async def test_a_stream_comes_in_parts() -> None:
    talk = communicator(ApiHandler(), "/api/rows")
    await talk.send_input({"type": "http.request"})
    await talk.receive_output(5)
    parts = [(await talk.receive_output(5))["body"] for _ in range(3)]
    assert parts == [b"row 0\n", b"row 1\n", b"row 2\n"]
    assert (await talk.receive_output(5)).get("more_body", False) is False


async def test_pages_go_to_djangos_own_handler() -> None:
    seen = []

    async def pages(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    assert (await call(answer_api_first(pages), "/admin/"))[0] == 204
    assert (await call(answer_api_first(pages), "/api/who"))[0] == 200
    assert seen == ["/admin/"]


def test_elsewhere_the_thread_itself_waits(client: Client) -> None:
    threading.Timer(0.1, released.set).start()
    assert client.get("/api/patient").content == b"done"
