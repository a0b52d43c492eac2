"""Who may call. A refusal says INTERNAL_ONLY, starts nothing and is kept for the operator."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.utils import timezone

from abilities.models import Ability, Task
from coze_plugin import services
from coze_plugin.jobs import RefusalRetention
from coze_plugin.models import Refusal, Tool
from podi.base.errors import AdminOnly, InvalidInput
from podi.base.models import RateBucket, User
from podi.base.services import issue_token
from tests.abilities.conftest import png_base64
from tests.coze_plugin.conftest import make_ability
from tests.coze_plugin.coze import Coze

pytestmark = pytest.mark.django_db(transaction=True)
DOORS = [
    ("GET", "/openapi.json"),
    ("GET", "/utils/openapi.json"),
    ("GET", "/abilities"),
    ("POST", "/tools/podi/upscale_resize"),
    ("POST", "/tasks/get"),
    ("POST", "/comfyui/queue-summary"),
]


def knock(coze: Coze, method: str, path: str, **headers: str) -> Any:
    return coze.get(path, **headers) if method == "GET" else coze.post(path, {"taskId": "0" * 32}, **headers)


def test_every_door_refuses_a_stranger_and_keeps_the_refusal(upscale: Ability) -> None:
    stranger = Coze(token="")
    for method, path in DOORS:
        response = knock(stranger, method, path)
        assert (response.status_code, response.json()["detail"]) == (401, "INTERNAL_ONLY"), path
        assert response.json()["message"]
    assert not Task.objects.exists()
    kept = Refusal.objects.values_list("address", "code", "tool")
    tools = ["openapi.json", "abilities", "podi/upscale_resize", "tasks/get", "comfyui/queue-summary"]
    assert sorted(kept) == sorted(("203.0.113.9", "INTERNAL_ONLY", tool) for tool in tools)
    assert Refusal.objects.get(tool="openapi.json").count == 2
    assert Refusal.objects.get(tool="abilities").user_agent == "Coze/1.0"


def test_the_service_token_opens_every_door_and_no_other_token_does(upscale: Ability, boss: User) -> None:
    for method, path in DOORS:
        assert knock(Coze(), method, path).status_code in (200, 404), path
    _row, text = issue_token(boss, boss, name="tests", scopes=["admin"])
    for token in ("invented-service-token-for-tests-onl", "invented-service-token-for-tests-only2", text, "x" * 5000):
        assert knock(Coze(token=token), "GET", "/abilities").status_code == 401
    assert knock(Coze(token=""), "GET", "/abilities?token=invented-service-token-for-tests-only").status_code == 401


def test_an_empty_service_token_is_nobody(upscale: Ability, settings: Any) -> None:
    settings.SERVICE_API_TOKEN = ""
    assert knock(Coze(token=""), "GET", "/abilities", authorization="Bearer ").status_code == 401
    assert knock(Coze(token=""), "GET", "/abilities", authorization="").status_code == 401


@pytest.mark.parametrize(
    ("trusted", "address", "is_in"),
    [
        (["203.0.113.9"], "203.0.113.9", True),
        (["203.0.113.0/24"], "203.0.113.9", True),
        (["203.0.113.0/29"], "203.0.113.9", False),
        (["10.0.0.0/8", "2001:db8::/32"], "2001:db8::5", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["172.16.0.0/12"], "172.32.0.1", False),
        ([], "127.0.0.1", False),
        ([], "10.0.0.1", False),
        (["not a network"], "10.0.0.1", False),
    ],
)
def test_a_trusted_address_is_one_in_the_listed_networks(
    db: None, settings: Any, trusted: list[str], address: str, is_in: bool
) -> None:
    settings.COZE_TRUSTED_IPS = trusted
    response = knock(Coze(token="", address=address), "GET", "/abilities")
    assert response.status_code == (200 if is_in else 401)


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "is_in"),
    [
        ("203.0.113.9", "10.0.0.5", [], False),
        ("203.0.113.9", "10.0.0.5", ["192.0.2.1"], False),
        ("203.0.113.9", "10.0.0.5", ["203.0.113.9"], True),
        ("203.0.113.9", "10.0.0.5, 198.51.100.7", ["203.0.113.9"], False),
        ("203.0.113.9", "198.51.100.7, 10.0.0.5", ["203.0.113.9"], True),
        ("10.0.0.9", "198.51.100.7", [], True),
        ("10.0.0.9", "198.51.100.7", ["10.0.0.9"], False),
        ("203.0.113.9", "garbage", ["203.0.113.9"], False),
    ],
)
def test_forwarded_headers_count_only_from_our_own_proxies(
    db: None, settings: Any, peer: str, forwarded: str, proxies: list[str], is_in: bool
) -> None:
    settings.COZE_TRUSTED_IPS = ["10.0.0.0/8"]
    settings.TRUSTED_PROXIES = proxies
    headers = {"x-forwarded-for": forwarded, "x-real-ip": "10.0.0.5"}
    response = knock(Coze(token="", address=peer), "GET", "/abilities", **headers)
    assert response.status_code == (200 if is_in else 401)


def test_a_tool_that_is_not_offered_is_refused_and_not_listed(coze: Coze, upscale: Ability, boss: User) -> None:
    services.configure_tool(boss, upscale, is_exposed=False)
    response = coze.tool("podi", "upscale_resize", {"url": png_base64()})
    assert (response.status_code, response.json()["detail"]) == (401, "INTERNAL_ONLY")
    assert coze.get("/abilities").json()["items"] == []
    assert not any("upscale" in path for path in coze.get("/openapi.json").json()["paths"])
    assert Refusal.objects.get().tool == "podi/upscale_resize"
    services.configure_tool(boss, upscale, is_exposed=True)
    assert len(coze.get("/abilities").json()["items"]) == 1


def test_a_tools_own_allow_list_holds_for_the_token_too(
    coze: Coze, upscale: Ability, boss: User, settings: Any
) -> None:
    settings.COZE_WAIT_S = 0
    services.configure_tool(boss, upscale, allowed_networks=["198.51.100.0/24"])
    assert coze.tool("podi", "upscale_resize", {"url": png_base64()}).status_code == 401
    assert not Task.objects.exists()
    allowed = Coze(address="198.51.100.7")
    assert allowed.tool("podi", "upscale_resize", {"url": png_base64()}).json()["taskStatus"] == "running"


def test_a_tool_called_too_often_is_told_when_to_come_back(
    coze: Coze, upscale: Ability, boss: User, settings: Any
) -> None:
    settings.COZE_WAIT_S = 0
    services.configure_tool(boss, upscale, rate_per_minute=2)
    for _ in range(2):
        assert coze.tool("podi", "upscale_resize", {"url": png_base64()}).json()["taskStatus"] == "running"
    response = coze.tool("podi", "upscale_resize", {"url": png_base64()})
    answer = response.json()
    assert (response.status_code, answer["taskStatus"], answer["text"]) == (200, "failed", "rate_limited")
    assert (answer["errorCode"], answer["retryable"]) == ("RATE_LIMITED", True)
    assert 0 < answer["pollAfterSeconds"] <= 60
    assert Task.objects.count() == 2
    assert Refusal.objects.get().code == "RATE_LIMITED"


def test_the_longest_names_fit_into_the_limit_and_the_record(coze: Coze, settings: Any) -> None:
    """MySQL refuses what SQLite lets through."""
    make_ability(ability_id="i" * 64, capability_key="k" * 64, metadata={"action": "none"})
    assert coze.tool("podi", "k" * 64, {"dryRun": "true"}).status_code == 200
    assert Coze(token="").tool("podi", "k" * 64, {}).status_code == 401
    for row in (*RateBucket.objects.all(), *Refusal.objects.all()):
        row.full_clean(validate_unique=False, validate_constraints=False)


def test_a_poll_that_comes_too_often_never_looks_like_a_failed_task(
    coze: Coze, upscale: Ability, settings: Any
) -> None:
    settings.COZE_WAIT_S = 0
    settings.COZE_POLL_RATE_PER_MINUTE = 1
    task_id = coze.tool("podi", "upscale_resize", {"url": png_base64()}).json()["taskId"]
    coze.task(task_id)
    answer = coze.task(task_id).json()
    assert (answer["taskStatus"], answer["text"], answer["taskId"]) == ("running", "rate_limited", task_id)


def test_refusals_of_one_hour_are_one_row_and_guessed_names_make_none(db: None) -> None:
    stranger = Coze(token="")
    for n in range(5):
        stranger.tool("podi", f"guess_{n}", {})
    row = Refusal.objects.get()
    assert (row.tool, row.count) == ("(unknown tool)", 5)


def test_old_refusals_are_forgotten(db: None, settings: Any) -> None:
    Coze(token="").get("/abilities")
    Coze(token="", address="198.51.100.1").get("/abilities")
    old = timezone.now() - timedelta(days=settings.COZE_REFUSAL_RETENTION_DAYS, hours=1)
    Refusal.objects.filter(address="203.0.113.9").update(last_at=old)
    RefusalRetention().run()
    assert [row.address for row in Refusal.objects.all()] == ["198.51.100.1"]


def test_only_operators_configure_tools_and_what_is_wrong_is_named(upscale: Ability, user: User, boss: User) -> None:
    with pytest.raises(AdminOnly):
        services.configure_tool(user, upscale, is_exposed=False)
    for values in ({"allowed_networks": ["300.0.0.0/8"]}, {"rate_per_minute": -1}, {"ability_id": "x"}):
        with pytest.raises(InvalidInput) as refusal:
            services.configure_tool(boss, upscale, **values)
        assert list(refusal.value.fields) == list(values)
    assert not Tool.objects.exists()


def test_the_document_is_public_only_where_an_operator_allows_it(upscale: Ability, settings: Any) -> None:
    anybody = Coze(token="")
    origin = {"origin": "https://www.coze.cn"}
    closed = anybody.get("/openapi.json", **origin)
    assert closed.status_code == 401
    assert "Access-Control-Allow-Origin" not in closed.headers
    settings.COZE_DOCUMENT_ORIGINS = ["https://www.coze.cn"]
    opened = anybody.get("/openapi.json", **origin)
    assert opened.status_code == 200
    assert opened.headers["Access-Control-Allow-Origin"] == "https://www.coze.cn"
    assert "Access-Control-Allow-Credentials" not in opened.headers
    assert "Access-Control-Allow-Origin" not in anybody.get("/openapi.json", origin="https://evil.example").headers
    settings.COZE_DOCUMENT_ORIGINS = ["*"]
    assert anybody.get("/utils/openapi.json", **origin).headers["Access-Control-Allow-Origin"] == "*"
    asked = anybody.client.options(
        "/api/coze/podi/openapi.json", headers={**origin, "access-control-request-private-network": "true"}
    )
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Private-Network"] == "true"
    for method, path in DOORS[2:]:
        assert knock(anybody, method, path, **origin).status_code == 401, "only the document is public"


def test_settings_that_would_do_nothing_or_too_much_are_reported(settings: Any) -> None:
    settings.COZE_TRUSTED_IPS = ["10.0.0.0/8", "300.1.1.1", "0.0.0.0/0"]
    found = {message.id: str(message.msg) for message in run_checks() if str(message.id).startswith("coze.")}
    assert "300.1.1.1" in found["coze.W001"]
    assert "0.0.0.0/0" in found["coze.W002"]
