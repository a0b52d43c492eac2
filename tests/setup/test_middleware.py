"""What pages need does not burden the API, and the API still speaks the caller's language."""

from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.utils import translation

from podi import middleware


def test_an_api_call_gets_no_cookie_and_no_session(client: Client) -> None:
    answer = client.get("/api/nothing-here")
    assert answer.status_code == 404
    assert answer.cookies == {}
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "X-Frame-Options" not in answer
    assert not hasattr(answer.wsgi_request, "session")


@pytest.mark.django_db
def test_a_page_keeps_all_of_djangos_protection() -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.get("/admin/login/")
    assert page["X-Frame-Options"] == "DENY"
    assert page["X-Content-Type-Options"] == "nosniff"
    assert "csrftoken" in page.cookies
    assert client.post("/admin/login/", {"username": "a", "password": "b"}).status_code == 403


@pytest.mark.django_db(transaction=True)
async def test_a_page_keeps_its_csrf_check_under_asgi() -> None:
    client = AsyncClient(enforce_csrf_checks=True)
    assert (await client.get("/admin/login/")).status_code == 200
    assert (await client.post("/admin/login/", {"username": "a", "password": "b"})).status_code == 403


def test_a_csrf_failure_cannot_happen_under_api() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/api/nothing-here", {}, content_type="application/json").status_code == 404


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("en", "en"),
        ("en-GB,en;q=0.8", "en"),
        ("zh-CN", "zh-hans"),
        ("", "zh-hans"),
        ("fr", "zh-hans"),
        ("*", "zh-hans"),
    ],
)
def test_the_api_speaks_the_callers_language(accepted: str, language: str) -> None:
    spoken = []

    def view(request: HttpRequest) -> HttpResponse:
        spoken.append(translation.get_language())
        return HttpResponse()

    headers = {"accept-language": accepted} if accepted else {}
    with translation.override("de"):  # left behind by whoever used this thread before
        middleware.api_middleware(view)(RequestFactory().get("/api/x", headers=headers))
        assert translation.get_language() == "de"
    assert spoken == [language]


async def test_static_files_are_served_without_leaving_the_event_loop() -> None:
    client = AsyncClient()
    answer = await client.get("/static/admin/css/base.css")
    assert answer.status_code == 200
    assert not answer.streaming
    assert answer["Content-Type"].startswith("text/css")
    part: Any = await client.get("/static/admin/css/base.css", headers={"Range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)
    assert (await client.get("/static/no-such-file.css")).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_documents_need_nothing_from_elsewhere(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "https://" not in text.replace("https://spdx.org", "")
    for asset in [part.split('"')[0] for part in text.split('src="')[1:]]:
        assert asset.startswith(settings.STATIC_URL)
