"""Operators issue, list, rotate and revoke API tokens over REST."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from podi.base import buckets, idempotency, sessions
from podi.base.jobs import SweepDuty
from podi.base.models import ApiToken, IdempotencyKey, LoginSession, RateBucket, User

pytestmark = pytest.mark.django_db
PATH = "/api/admin/api-tokens"


@pytest.fixture
def operator() -> User:
    return User.objects.create_user("olga", is_staff=True)


@pytest.fixture
def call(client: Client, operator: User) -> Any:
    headers = {"Authorization": f"Bearer {sessions.open_session(operator).access_token}"}

    def send(method: str, path: str, body: Any = None) -> Any:
        return getattr(client, method)(path, body, content_type="application/json", headers=headers)

    return send


def test_an_operator_issues_a_token_for_a_user_and_sees_its_text_once(call: Any, client: Client) -> None:
    ann = User.objects.create_user("ann")
    body = {"name": "shop", "user_id": ann.pk, "scopes": ["tasks:read"], "allowed_ips": ["127.0.0.0/8"]}
    issued = call("post", PATH, body)
    assert issued.status_code == 200
    text = issued.json()["token"]
    assert text.startswith("podi_")
    assert issued["Cache-Control"] == "no-store"
    me = client.get("/api/auth/me", headers={"Authorization": f"Bearer {text}"}).json()
    assert (me["id"], me["access"], me["scopes"], me["tokenName"]) == (ann.pk, "api_token", ["tasks:read"], "shop")
    listed = client.get(PATH, headers={"Authorization": f"Bearer {text}"})
    assert listed.json()["detail"] == "ADMIN_ONLY"
    listing = call("get", PATH)
    assert (listing.json()["total"], listing.json()["items"][0]["username"]) == (1, "ann")
    assert text not in listing.content.decode()
    assert "token_hash" not in listing.content.decode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x", "scopes": ["everything"]}, "scopes.0"),
        ({"name": "x", "allowed_ips": ["the office"]}, "allowed_ips"),
        ({"name": "x", "user_id": "nobody"}, "user_id"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "ratePerMinute": 5}, "ratePerMinute"),
        ({"name": "x", "rate_per_minute": 0}, "rate_per_minute"),
    ],
)
def test_R21_a_wrong_or_unknown_field_is_named_and_nothing_is_issued(call: Any, body: Any, field: str) -> None:
    response = call("post", PATH, body)
    assert (response.status_code, list(response.json()["fields"])) == (422, [field])
    assert not ApiToken.objects.exists()


def test_admin_scope_needs_an_operator(call: Any) -> None:
    ann = User.objects.create_user("ann")
    response = call("post", PATH, {"name": "x", "user_id": ann.pk, "scopes": ["admin"]})
    assert list(response.json()["fields"]) == ["scopes"]
    assert not ApiToken.objects.exists()


def test_rotate_and_revoke(call: Any, client: Client) -> None:
    first = call("post", PATH, {"name": "x"}).json()
    second = call("post", f"{PATH}/{first['id']}/rotate").json()

    def works(text: str) -> bool:
        return client.get("/api/auth/me", headers={"Authorization": f"Bearer {text}"}).status_code == 200

    assert (works(first["token"]), works(second["token"])) == (False, True)
    assert call("delete", f"{PATH}/{first['id']}").json() == {"status": "deleted"}
    assert not works(second["token"])
    assert call("delete", f"{PATH}/unknown").status_code == 404
    assert call("post", f"{PATH}/{first['id']}/rotate").status_code == 422
    assert ApiToken.objects.count() == 1


def test_the_list_costs_the_same_whatever_its_length(call: Any, django_assert_num_queries: Any) -> None:
    for number in range(8):
        call("post", PATH, {"name": f"t{number}"})
    with django_assert_num_queries(3):
        assert len(call("get", f"{PATH}?limit=5&offset=1").json()["items"]) == 5


def test_the_sweep_forgets_what_is_over_and_nothing_else(operator: User) -> None:
    sessions.open_session(operator)
    buckets.take("busy", capacity=1, refill_s=60)
    RateBucket.objects.create(key="idle", empty_at_us=1)
    mark = idempotency.fingerprint("POST", "/x", {})
    idempotency.remember(operator, "new", fingerprint=mark, subject=("task", "t"))
    idempotency.remember(operator, "old", fingerprint=mark, subject=("task", "t"))
    IdempotencyKey.objects.filter(key="old").update(created_at=timezone.now() - timedelta(days=9))
    SweepDuty().run()
    assert LoginSession.objects.count() == 1
    assert list(RateBucket.objects.values_list("key", flat=True)) == ["busy"]
    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["new"]


def test_openapi_names_the_bearer_token(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert {"detail", "message", "requestId"} <= set(document["components"]["schemas"]["Error"]["properties"])
    assert document["paths"]["/api/auth/me"]["get"]["security"] == [{"bearer": []}]
    assert document["paths"]["/api/auth/login"]["post"].get("security", [{}]) == [{}]
