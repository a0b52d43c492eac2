"""R23: one shape of refusal, whatever raised it, and JSON read strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.test import Client
from django.utils import translation

from podi.base.api.parsers import parse_json
from podi.base.errors import MalformedJson

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.base.probe_urls")]
KEYS = {"detail", "message", "retryable", "fields", "requestId"}


def send(client: Client, path: str, raw: bytes | str, content_type: str = "application/json") -> Any:
    return client.generic("POST", path, raw, content_type=content_type)


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("404", 404, "NOT_FOUND"),
        ("drf404", 404, "NOT_FOUND"),
        ("403", 403, "FORBIDDEN"),
        ("413", 413, "PAYLOAD_TOO_LARGE"),
        ("429", 429, "RATE_LIMITED"),
    ],
)
def test_R23_every_framework_error_has_the_one_shape(client: Client, how: str, status: int, code: str) -> None:
    response = client.get(f"/t/fail/{how}")
    assert (response.status_code, response.json()["detail"]) == (status, code)
    assert set(response.json()) == KEYS


def test_an_error_carries_its_details_in_camel_case_and_retry_after(client: Client) -> None:
    response = client.get("/t/fail/limited")
    assert response.json()["queueDepth"] == 7
    assert response.json()["retryable"] is True
    assert response["Retry-After"] == "2"
    assert client.get("/t/fail/429")["Retry-After"] == "3"


def test_a_bug_is_answered_as_internal_error_without_telling_more(client: Client) -> None:
    client.raise_request_exception = False
    response = client.get("/t/fail/bug")
    assert (response.status_code, response.json()["detail"]) == (500, "INTERNAL_ERROR")
    assert set(response.json()) == KEYS
    assert "Zero" not in response.content.decode()


def test_a_bug_still_reaches_whoever_listens_for_bugs(client: Client) -> None:
    with pytest.raises(ZeroDivisionError):
        client.get("/t/fail/bug")


def test_method_and_media_type_have_their_codes(client: Client) -> None:
    response = client.put("/t/echo", "{}", content_type="application/json")
    assert (response.status_code, response.json()["detail"]) == (405, "METHOD_NOT_ALLOWED")
    assert "POST" in response["Allow"]
    response = send(client, "/t/echo", "a=1", "application/x-www-form-urlencoded")
    assert (response.status_code, response.json()["detail"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    response = client.get("/t/windowed", headers={"Accept": "text/turtle"})
    assert (response.status_code, response.json()["detail"]) == (406, "NOT_ACCEPTABLE")


def test_validation_names_every_field_with_its_path(client: Client) -> None:
    response = send(client, "/t/shape", json.dumps({"points": [{"x": 1}, {"x": "10px"}]}))
    assert (response.status_code, response.json()["detail"]) == (422, "INVALID_INPUT")
    assert set(response.json()["fields"]) == {"name", "points.1.x"}
    assert set(send(client, "/t/shape", "[]").json()["fields"]) == {"body"}


def test_the_message_speaks_the_language_that_was_asked_for(client: Client) -> None:
    response = client.get("/t/who", headers={"Accept-Language": "en"})
    assert response.json()["message"] == "Send `Authorization: Bearer <token>`."
    translation.deactivate()


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_unknown_paths_under_api_answer_json_and_others_stay_djangos(client: Client, method: str) -> None:
    response = getattr(Client(enforce_csrf_checks=True), method)("/api/no/such/thing")
    assert (response.status_code, response.json()["detail"]) == (404, "NOT_FOUND")
    assert client.get("/no/such/page")["Content-Type"].startswith("text/html")


def test_the_request_id_of_the_caller_is_kept_when_it_is_harmless(client: Client) -> None:
    response = client.get("/t/who", headers={"X-Request-ID": "job-7:a.b_c"})
    assert response["X-Request-ID"] == response.json()["requestId"] == "job-7:a.b_c"
    for harmful in ("x" * 65, "a b", "<script>", "a\tb", ""):
        response = client.get("/t/who", headers={"X-Request-ID": harmful})
        assert len(response["X-Request-ID"]) == 32
        assert response.json()["requestId"] == response["X-Request-ID"]


MALFORMED = [
    b"{",
    b"",
    b"{'a': 1}",
    b'{"a": 1} x',
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": 1, "a": 2}',
    b'"\xff"',
    '{"a": "ü"}'.encode("latin-1"),
    '{"a": 1}'.encode("utf-16"),
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": "\\ud800"}',
    b"1" * 5000,
    b"[" * 33 + b"]" * 33,
    b"[" * 500_000,
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
def test_R23_malformed_json_is_refused_by_its_code(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse_json(raw)


def test_malformed_json_is_a_400_over_http(client: Client) -> None:
    for raw in (b"{", b'"\xff"', b"[" * 200_000):
        response = send(client, "/t/echo", raw)
        assert (response.status_code, response.json()["detail"]) == (400, "MALFORMED_JSON")
        assert set(response.json()) == KEYS


def test_json_at_the_limits_is_read() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    assert parse_json('{"a": "\\ud83d\\ude00 图", "b": [1, 2.5, null, true]}'.encode())["a"] == "😀 图"
    assert parse_json(b"7") == 7


def test_a_huge_body_is_refused_as_413(client: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = send(client, "/t/echo", json.dumps({"a": "x" * 1000}))
    assert (response.status_code, response.json()["detail"]) == (413, "PAYLOAD_TOO_LARGE")
    assert response.json()["limitBytes"] == 1000
    assert send(client, "/t/echo", json.dumps({"a": "x" * 900})).status_code == 200


@pytest.mark.parametrize(("path", "expected"), [("/t/echo", 200), ("/t/shape", 422)])
async def test_a_chunked_body_without_a_length_is_read(path: str, expected: int) -> None:
    """Some clients send `Transfer-Encoding: chunked`; their fields must not look missing."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    call = ApplicationCommunicator(get_asgi_application(), scope)
    await call.send_input({"type": "http.request", "body": b'{"name"', "more_body": True})
    await call.send_input({"type": "http.request", "body": b': "ann"}'})
    start = await call.receive_output()
    body = json.loads((await call.receive_output())["body"])
    assert start["status"] == expected
    if expected == 200:
        assert body == {"got": {"name": "ann"}}
    else:
        assert list(body["fields"]) == ["points"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [20, 0, 0, 0]),
        ("limit=200&offset=7&page=2&size=50", [200, 7, 2, 100]),
        ("limit=201", "limit"),
        ("limit=0", "limit"),
        ("limit=--5", "limit"),
        ("limit=1.5", "limit"),
        ("limit=9999999999999999999", "limit"),
        ("offset=-1", "offset"),
        ("page=-1", "page"),
        ("size=51", "size"),
    ],
)
def test_pages_out_of_range_are_refused(client: Client, query: str, expected: Any) -> None:
    response = client.get(f"/t/windowed?{query}")
    if isinstance(expected, list):
        assert response.json() == expected
    else:
        assert response.status_code == 422
        assert list(response.json()["fields"]) == [expected]
