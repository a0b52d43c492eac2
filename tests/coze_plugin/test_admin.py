"""The page for Coze: everything stands on it, one click changes it, and nobody without the right can."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from abilities.models import Ability
from coze_plugin import services
from coze_plugin.models import Refusal, Tool
from podi.base.models import User
from tests.abilities.conftest import png_base64
from tests.coze_plugin.conftest import make_ability
from tests.coze_plugin.coze import Coze

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/coze_plugin/tool/"


@pytest.fixture
def desk(boss: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(boss)
    return client


def shown(desk: Client, **headers: Any) -> str:
    response = desk.get(PAGE, **headers)
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_shows_addresses_tools_calls_and_refusals(
    desk: Client, coze: Coze, upscale: Ability, settings: Any
) -> None:
    settings.COZE_WAIT_S = 0
    settings.COZE_SERVER_URL = "https://podi.example.com"
    coze.tool("podi", "upscale_resize", {"url": png_base64()})
    Coze(token="", address="198.51.100.7").get("/abilities")
    page = shown(desk)
    for text in (
        "https://podi.example.com/api/coze/podi/openapi.json",
        "https://podi.example.com/api/coze/podi/utils/openapi.json",
        "podi_podi_upscale_resize",
        coze.headers["x-tt-logid"],
        coze.headers["x-aiplugin-bot-id"],
        "198.51.100.7",
        "keeps every rule",
        "step-5.svg",
    ):
        assert text in page, text
    assert settings.SERVICE_API_TOKEN not in page


def test_what_would_go_wrong_is_said_beforehand(desk: Client, upscale: Ability, settings: Any) -> None:
    settings.PUBLIC_URL = "http://localhost:8099"
    settings.SERVICE_API_TOKEN = ""
    page = shown(desk, HTTP_HOST="localhost", HTTP_X_FORWARDED_FOR="198.51.100.1")
    for text in (
        "for pasted text",
        "COZE_SERVER_URL",
        "PODI_PUBLIC_URL",
        "COZE_DOCUMENT_ORIGINS",
        "Nobody may call",
        "TRUSTED_PROXIES",
    ):
        assert text in page, text
    settings.COZE_DOCUMENT_ORIGINS = ["*"]
    settings.COZE_TRUSTED_IPS = ["10.0.0.0/8"]
    page = shown(desk)
    assert "Nobody may call" not in page
    assert "10.0.0.0/8" in page


def test_one_click_hides_a_tool_and_shows_it_again(desk: Client, coze: Coze, upscale: Ability) -> None:
    path = f"{PAGE}{upscale.pk}/offer/"
    assert desk.get(path).status_code == 405
    for is_exposed in (False, True):
        assert desk.post(path).status_code == 302
        assert Tool.objects.get().is_exposed is is_exposed
        assert len(coze.get("/abilities").json()["items"]) == int(is_exposed)
    assert desk.post(f"{PAGE}nothing/offer/").status_code == 404


def test_one_click_starts_a_trial_that_ends_by_itself(desk: Client, upscale: Ability) -> None:
    desk.post(f"{PAGE}{upscale.pk}/trial/")
    tool = Tool.objects.get()
    assert tool.trial_until is not None
    assert 1700 < (tool.trial_until - timezone.now()).total_seconds() <= 1800
    desk.post(f"{PAGE}{upscale.pk}/trial/")
    assert Tool.objects.get().trial_until is None


def test_limits_are_saved_through_the_service_and_wrong_ones_are_named(desk: Client, upscale: Ability) -> None:
    path = f"{PAGE}{upscale.pk}/change/"
    assert desk.get(path).status_code == 200, "also before anything was decided"
    form = {"is_exposed": "on", "rate_per_minute": "7", "allowed_networks": "10.0.0.0/8\n192.0.2.1"}
    assert desk.post(path, form).status_code == 302
    tool = Tool.objects.get()
    assert (tool.rate_per_minute, tool.allowed_networks) == (7, ["10.0.0.0/8", "192.0.2.1"])
    wrong = desk.post(path, {**form, "allowed_networks": "10.0.0.0/99"})
    assert wrong.status_code == 200
    assert "10.0.0.0/99" in wrong.content.decode()
    too_much = desk.post(path, {**form, "rate_per_minute": "99999999"})
    assert too_much.status_code == 200
    assert Tool.objects.get().rate_per_minute == 7


def test_who_may_only_look_changes_nothing(upscale: Ability, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client(headers={"accept-language": "en"})
    client.force_login(User.objects.get(pk=user.pk))
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}{upscale.pk}/offer/").status_code == 403
    assert not Tool.objects.exists()


def test_the_page_costs_the_same_for_any_number_of_tools_and_calls(
    desk: Client, coze: Coze, upscale: Ability, boss: User, settings: Any
) -> None:
    settings.COZE_WAIT_S = 0

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            shown(desk)
        return len(found)

    queries()
    before = queries()
    for n in range(4):
        services.configure_tool(boss, make_ability(capability_key=f"tool_{n}"), rate_per_minute=n)
        coze.tool("podi", "upscale_resize", {"url": png_base64()})
        Refusal.objects.create(
            hour=timezone.now(),
            address=f"10.0.0.{n}",
            code="X",
            tool="x",
            first_at=timezone.now(),
            last_at=timezone.now(),
        )
    assert queries() <= before + 1


def test_refusals_are_listed_searched_and_never_changed(desk: Client) -> None:
    Coze(token="").get("/abilities")
    row = Refusal.objects.get()
    assert "INTERNAL_ONLY" in desk.get("/admin/coze_plugin/refusal/?q=203.0.113").content.decode()
    assert desk.get("/admin/coze_plugin/refusal/add/").status_code == 403
    desk.post(f"/admin/coze_plugin/refusal/{row.pk}/delete/", {"post": "yes"})
    assert Refusal.objects.exists()
