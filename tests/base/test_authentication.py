"""Contract 1.1: who may call, and every way in which a caller is refused."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from podi.base import services
from podi.base.api.authentication import authenticate_token, client_address
from podi.base.errors import InvalidToken, RateLimited
from podi.base.models import ApiToken, RateBucket, User

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.base.probe_urls")]


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ann", password="invented-password-1")


@pytest.fixture
def operator() -> User:
    return User.objects.create_user("olga", password="invented-password-2", is_staff=True)


def access_jwt(user: User, **claims: Any) -> str:
    token = AccessToken()
    token["sub"] = user.pk
    for name, value in claims.items():
        token[name] = value
    return str(token)


def get(client: Client, path: str, text: str | None = None, **extra: Any) -> Any:
    headers = {} if text is None else {"Authorization": f"Bearer {text}"}
    return client.get(path, headers=headers, **extra)


def assert_refused(response: Any, status: int, code: str) -> None:
    assert (response.status_code, response.json()["detail"]) == (status, code)
    assert response.json()["requestId"] == response["X-Request-ID"]


def test_no_token_is_authorization_required(client: Client) -> None:
    response = get(client, "/t/who")
    assert_refused(response, 401, "AUTHORIZATION_REQUIRED")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token abc"])
def test_a_header_without_a_bearer_token_is_authorization_required(client: Client, header: str) -> None:
    assert_refused(client.get("/t/who", headers={"Authorization": header}), 401, "AUTHORIZATION_REQUIRED")


@pytest.mark.parametrize("text", ["nonsense", "a.b.c", "podi_unknown", "ключ", "x" * 10_000])
def test_a_wrong_token_is_invalid(client: Client, text: str) -> None:
    response = client.get("/t/who", HTTP_AUTHORIZATION=f"Bearer {text}")
    assert_refused(response, 401, "INVALID_TOKEN")


def test_a_token_in_the_query_a_cookie_or_the_referer_is_not_looked_at(client: Client, user: User) -> None:
    text = access_jwt(user)
    client.cookies["access_token"] = text
    response = client.get(f"/t/who?access_token={text}&token={text}", headers={"Referer": f"http://x/?token={text}"})
    assert_refused(response, 401, "AUTHORIZATION_REQUIRED")


def test_an_access_token_opens_the_door_with_one_query(
    client: Client, user: User, django_assert_num_queries: Any
) -> None:
    text = access_jwt(user)
    with django_assert_num_queries(1):
        response = get(client, "/t/who", text)
    assert response.json()["id"] == user.pk
    assert response.json()["kind"] == "jwt"
    assert "admin" not in response.json()["scopes"]


def test_an_expired_access_token_is_invalid(client: Client, user: User) -> None:
    token = AccessToken()
    token["sub"] = user.pk
    token.set_exp(lifetime=timedelta(seconds=-1))
    assert_refused(get(client, "/t/who", str(token)), 401, "INVALID_TOKEN")


def test_a_refresh_token_does_not_open_the_door(client: Client, user: User) -> None:
    token = RefreshToken()
    token["sub"] = user.pk
    assert_refused(get(client, "/t/who", str(token)), 401, "INVALID_TOKEN")


def test_a_token_signed_with_another_secret_or_with_none_is_invalid(client: Client, user: User) -> None:
    import jwt

    claims = {"sub": user.pk, "type": "access", "jti": "x", "exp": 4102444800}
    for forged in (jwt.encode(claims, "change-me" * 4, algorithm="HS256"), jwt.encode(claims, "", algorithm="none")):
        assert_refused(get(client, "/t/who", forged), 401, "INVALID_TOKEN")


def test_a_token_without_sub_has_an_invalid_payload(client: Client) -> None:
    assert_refused(get(client, "/t/who", str(AccessToken())), 401, "INVALID_TOKEN_PAYLOAD")


def test_a_token_of_a_deleted_user_is_user_not_found(client: Client, user: User) -> None:
    text = access_jwt(user)
    user.delete()
    assert_refused(get(client, "/t/who", text), 404, "USER_NOT_FOUND")


def test_an_inactive_user_is_refused_at_once(client: Client, user: User) -> None:
    text = access_jwt(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert_refused(get(client, "/t/who", text), 403, "USER_INACTIVE")


def test_admin_routes_are_for_operators_whatever_the_role_claim_says(
    client: Client, user: User, operator: User
) -> None:
    assert_refused(get(client, "/t/operators", access_jwt(user, role="admin")), 403, "ADMIN_ONLY")
    assert get(client, "/t/operators", access_jwt(operator)).status_code == 200
    assert_refused(get(client, "/t/operators"), 401, "AUTHORIZATION_REQUIRED")


def test_R23_the_service_token_is_a_real_operator_row(client: Client, django_assert_num_queries: Any) -> None:
    assert get(client, "/t/operators", settings.SERVICE_API_TOKEN).json()["id"] == "service"
    row = User.objects.get(pk="service")
    assert row.is_staff
    assert not row.has_usable_password()
    with django_assert_num_queries(1):
        assert get(client, "/t/who", settings.SERVICE_API_TOKEN).json()["kind"] == "service"
    assert_refused(get(client, "/t/who", settings.SERVICE_API_TOKEN + "x"), 401, "INVALID_TOKEN")
    User.objects.filter(pk="service").update(is_active=False)
    assert_refused(get(client, "/t/who", settings.SERVICE_API_TOKEN), 403, "USER_INACTIVE")


def test_without_a_configured_service_token_none_is_accepted(client: Client, settings: Any) -> None:
    settings.SERVICE_API_TOKEN = ""
    assert_refused(client.get("/t/who", HTTP_AUTHORIZATION="Bearer  "), 401, "AUTHORIZATION_REQUIRED")
    assert not User.objects.exists()


def test_an_api_token_costs_one_query_and_notes_its_use_once_a_minute(
    client: Client, user: User, operator: User, django_assert_num_queries: Any
) -> None:
    _token, text = services.issue_token(operator, user, name="shop")
    with django_assert_num_queries(2):
        assert get(client, "/t/who", text).json()["id"] == user.pk
    used = ApiToken.objects.get().last_used_at
    assert used is not None
    with django_assert_num_queries(1):
        get(client, "/t/who", text)
    ApiToken.objects.update(last_used_at=used - timedelta(seconds=61))
    get(client, "/t/who", text)
    assert ApiToken.objects.get().last_used_at > used - timedelta(seconds=61)
    assert text not in str(ApiToken.objects.values())


def test_an_expired_or_revoked_api_token_is_invalid(client: Client, user: User, operator: User) -> None:
    token, text = services.issue_token(operator, user, name="shop")
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_refused(get(client, "/t/who", text), 401, "INVALID_TOKEN")
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    assert get(client, "/t/who", text).status_code == 200
    assert services.revoke_token(operator, token) is True
    assert services.revoke_token(operator, token) is False
    assert_refused(get(client, "/t/who", text), 401, "INVALID_TOKEN")


def test_a_rotated_token_works_only_with_its_new_text(client: Client, user: User, operator: User) -> None:
    token, old = services.issue_token(operator, user, name="shop")
    new = services.rotate_token(operator, token)
    assert_refused(get(client, "/t/who", old), 401, "INVALID_TOKEN")
    assert get(client, "/t/who", new).status_code == 200


def test_scopes_of_a_token(client: Client, user: User, operator: User) -> None:
    _, all_user_scopes = services.issue_token(operator, operator, name="a")
    _, reader = services.issue_token(operator, user, name="b", scopes=["tasks:read"])
    _, admin = services.issue_token(operator, operator, name="c", scopes=["admin"])
    assert get(client, "/t/tasks", all_user_scopes).status_code == 200
    assert_refused(get(client, "/t/operators", all_user_scopes), 403, "TOKEN_SCOPE_MISSING")
    assert get(client, "/t/operators", admin).status_code == 200
    assert_refused(get(client, "/t/tasks", admin), 403, "TOKEN_SCOPE_MISSING")
    assert get(client, "/t/tasks", reader).status_code == 200
    refused = client.post("/t/tasks", headers={"Authorization": f"Bearer {reader}"})
    assert_refused(refused, 403, "TOKEN_SCOPE_MISSING")
    assert refused.json()["scope"] == "tasks:write"
    assert_refused(get(client, "/t/operators", reader), 403, "ADMIN_ONLY")


def test_a_token_is_bound_to_its_addresses_and_a_forged_forward_header_changes_nothing(
    client: Client, user: User, operator: User
) -> None:
    """Lessons, security 4: "internal only" must not trust X-Forwarded-For."""
    _, text = services.issue_token(operator, user, name="office", allowed_ips=["10.1.0.0/16", "2001:db8::1"])
    assert get(client, "/t/who", text, REMOTE_ADDR="10.1.2.3").status_code == 200
    assert get(client, "/t/who", text, REMOTE_ADDR="::ffff:10.1.2.3").status_code == 200
    assert get(client, "/t/who", text, REMOTE_ADDR="2001:db8::1").status_code == 200
    assert_refused(get(client, "/t/who", text, REMOTE_ADDR="10.2.0.1"), 403, "TOKEN_ADDRESS_NOT_ALLOWED")
    forged = get(client, "/t/who", text, REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_FOR="10.1.2.3")
    assert_refused(forged, 403, "TOKEN_ADDRESS_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),  # the peer is not ours: its header is only talk
        ("192.168.7.1", "10.0.0.1", "10.0.0.1"),
        ("192.168.7.1", "10.0.0.1, 203.0.113.9", "203.0.113.9"),  # what the client itself sent stands left
        ("192.168.7.1", "10.0.0.1, 203.0.113.9, 192.168.7.2", "203.0.113.9"),  # two proxies of ours
        ("192.168.7.1", "192.168.7.3", "192.168.7.3"),
        ("192.168.7.1", "10.0.0.1, unknown", ""),
        ("192.168.7.1", "203.0.113.9:5511", "203.0.113.9"),
        ("192.168.7.1", "[2001:db8::2]:443", "2001:db8::2"),
        ("", "10.0.0.1", ""),
    ],
)
def test_forwarded_addresses_count_only_from_trusted_proxies(
    settings: Any, peer: str, forwarded: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = ["192.168.7.0/24"]
    assert client_address({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}) == expected


def test_calls_over_the_rate_of_a_token_are_told_when_to_come_back(
    client: Client, user: User, operator: User, django_assert_num_queries: Any
) -> None:
    _, text = services.issue_token(operator, user, name="slow", rate_per_minute=3)
    assert [get(client, "/t/who", text).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = get(client, "/t/who", text)
    assert_refused(refused, 429, "RATE_LIMITED")
    assert 1 <= int(refused["Retry-After"]) <= 20
    assert refused.json()["retryable"] is True
    RateBucket.objects.update(empty_at_us=0)
    with django_assert_num_queries(2):
        assert get(client, "/t/who", text).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_R20_the_rate_holds_when_many_threads_call_at_once() -> None:
    operator = User.objects.create_user("olga", is_staff=True)
    _, text = services.issue_token(operator, operator, name="busy", rate_per_minute=5)
    outcomes: list[str] = []

    def call() -> None:
        try:
            authenticate_token(text, remote_addr="127.0.0.1")
            outcomes.append("in")
        except RateLimited:
            outcomes.append("limited")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in"] * 5 + ["limited"] * 11


@pytest.mark.django_db(transaction=True)
def test_the_service_user_is_made_once_by_many_threads() -> None:
    User.objects.create_user("service")  # a person took the name
    found: list[str] = []

    def ask() -> None:
        try:
            found.append(services.ensure_service_user().pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["service"] * 8
    assert User.objects.filter(pk="service").count() == 1


def test_authenticate_token_is_usable_without_a_request(user: User) -> None:
    found, access = authenticate_token(access_jwt(user), remote_addr="127.0.0.1")
    assert (found.pk, access.kind, access.token) == (user.pk, "jwt", None)
    with pytest.raises(InvalidToken):
        authenticate_token("wrong", remote_addr="127.0.0.1")
    assert connection.vendor  # nothing else is needed
