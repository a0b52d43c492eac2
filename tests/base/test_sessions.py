"""Contract 1.3 and what the origin lacked: rotation, revocation, throttled logins."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connections
from django.test import Client
from django.utils import timezone

from podi.base import sessions
from podi.base.errors import InvalidRefreshToken, PodiError, RateLimited
from podi.base.models import LoginSession, RateBucket, User

pytestmark = pytest.mark.django_db
PASSWORD = "invented-password-1"


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ann", email="ann@example.org", password=PASSWORD)


@pytest.fixture(autouse=True)
def quick_hash(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def post(client: Client, path: str, body: Any, **extra: Any) -> Any:
    return client.post(path, body, content_type="application/json", **extra)


def login(client: Client, **body: Any) -> Any:
    return post(client, "/api/auth/login", {"username": "ann", "password": PASSWORD, **body})


def claims(text: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(text, settings.JWT_SECRET_KEY, algorithms=["HS256"])
    return found


def me(client: Client, text: str) -> Any:
    return client.get("/api/auth/me", headers={"Authorization": f"Bearer {text}"})


def test_login_answers_the_contracts_keys_and_claims(client: Client, user: User) -> None:
    response = login(client)
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["accessToken", "tokenType", "expiresIn", "refreshToken", "role"]
    assert (body["tokenType"], body["expiresIn"], body["role"]) == ("bearer", 3600, "user")
    access, refresh = claims(body["accessToken"]), claims(body["refreshToken"])
    assert {"sub", "role", "exp", "type", "jti"} <= set(access)
    assert (access["sub"], access["role"], access["type"]) == (user.pk, "user", "access")
    assert (refresh["sub"], refresh["type"]) == (user.pk, "refresh")
    user.refresh_from_db()
    assert user.last_login is not None
    assert body["refreshToken"] not in str(LoginSession.objects.values())


def test_login_by_email_ignores_case(client: Client, user: User) -> None:
    assert login(client, username="", email="Ann@Example.org").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"username": None}, 400, "LOGIN_IDENTIFIER_REQUIRED"),
        ({"username": "nobody"}, 401, "INVALID_CREDENTIALS"),
        ({"password": "wrong"}, 401, "INVALID_CREDENTIALS"),
        ({"password": None}, 422, "INVALID_INPUT"),
        ({"username": None, "email": "not an address"}, 422, "INVALID_INPUT"),
    ],
)
def test_a_bad_login_is_refused_and_opens_nothing(
    client: Client, user: User, body: dict[str, Any], status: int, code: str
) -> None:
    response = login(client, **body)
    assert (response.status_code, response.json()["detail"]) == (status, code)
    assert not LoginSession.objects.exists()


def test_an_inactive_user_is_told_so_only_with_the_right_password(client: Client, user: User) -> None:
    User.objects.update(is_active=False)
    assert login(client, password="wrong").json()["detail"] == "INVALID_CREDENTIALS"
    response = login(client)
    assert (response.status_code, response.json()["detail"]) == (403, "USER_INACTIVE")
    assert not LoginSession.objects.exists()


def test_the_service_user_cannot_log_in_by_password(client: Client) -> None:
    User.objects.create(pk="service", username="service", is_staff=True, password="!")
    for guess in ("", "!", "service"):
        assert login(client, username="service", password=guess).status_code in (401, 422)


def test_a_login_survives_a_stale_authorization_header(client: Client, user: User) -> None:
    response = post(
        client,
        "/api/auth/login",
        {"username": "ann", "password": PASSWORD},
        headers={"Authorization": "Bearer stale"},
    )
    assert response.status_code == 200


def test_me_names_the_caller(client: Client, user: User, django_assert_num_queries: Any) -> None:
    text = login(client).json()["accessToken"]
    with django_assert_num_queries(1):
        body = me(client, text).json()
    assert (body["id"], body["username"], body["role"], body["access"]) == (user.pk, "ann", "user", "jwt")


def test_a_refresh_token_works_once_and_its_reuse_ends_the_login(client: Client, user: User) -> None:
    first = login(client).json()
    second = post(client, "/api/auth/refresh", {"refreshToken": first["refreshToken"]}).json()
    assert second["refreshToken"] != first["refreshToken"]
    assert me(client, second["accessToken"]).status_code == 200
    again = post(client, "/api/auth/refresh", {"refreshToken": first["refreshToken"]})
    assert (again.status_code, again.json()["detail"]) == (401, "INVALID_REFRESH_TOKEN")
    assert post(client, "/api/auth/refresh", {"refreshToken": second["refreshToken"]}).status_code == 401
    assert me(client, second["accessToken"]).json()["detail"] == "INVALID_TOKEN"


def test_reuse_in_one_login_leaves_another_login_of_the_user_alone(client: Client, user: User) -> None:
    stolen, other = login(client).json(), login(client).json()
    for _ in range(2):
        post(client, "/api/auth/refresh", {"refreshToken": stolen["refreshToken"]})
    assert post(client, "/api/auth/refresh", {"refreshToken": other["refreshToken"]}).status_code == 200


def test_refresh_refuses_access_tokens_garbage_and_expired_ones(client: Client, user: User) -> None:
    access = login(client).json()["accessToken"]
    for text, code in ((access, "INVALID_REFRESH_TOKEN"), ("garbage", "INVALID_TOKEN"), ("", "INVALID_INPUT")):
        assert post(client, "/api/auth/refresh", {"refreshToken": text}).json()["detail"] == code
    old = {"sub": user.pk, "type": "refresh", "jti": "a.b", "exp": timezone.now() - timedelta(seconds=1)}
    expired = jwt.encode(old, settings.JWT_SECRET_KEY, algorithm="HS256")
    assert post(client, "/api/auth/refresh", {"refreshToken": expired}).json()["detail"] == "INVALID_TOKEN"


def test_refresh_looks_at_the_user(client: Client, user: User) -> None:
    text = login(client).json()["refreshToken"]
    User.objects.update(is_active=False)
    response = post(client, "/api/auth/refresh", {"refreshToken": text})
    assert (response.status_code, response.json()["detail"]) == (403, "USER_INACTIVE")
    user.delete()
    response = post(client, "/api/auth/refresh", {"refreshToken": text})
    assert (response.status_code, response.json()["detail"]) == (404, "USER_NOT_FOUND")


def test_a_changed_password_ends_every_login(client: Client, user: User) -> None:
    pair = login(client).json()
    user.set_password("invented-password-9")
    user.save()
    assert me(client, pair["accessToken"]).json()["detail"] == "INVALID_TOKEN"
    assert post(client, "/api/auth/refresh", {"refreshToken": pair["refreshToken"]}).status_code == 401


def test_a_changed_role_counts_at_once(client: Client, user: User) -> None:
    text = login(client).json()["accessToken"]
    User.objects.update(is_staff=True)
    assert me(client, text).json()["role"] == "admin"


def test_logout_ends_access_and_refresh_and_may_be_repeated(client: Client, user: User) -> None:
    pair = login(client).json()
    for _ in range(2):
        assert post(client, "/api/auth/logout", {"refreshToken": pair["refreshToken"]}).status_code == 200
    assert me(client, pair["accessToken"]).json()["detail"] == "INVALID_TOKEN"
    refused = post(client, "/api/auth/refresh", {"refreshToken": pair["refreshToken"]})
    assert refused.json()["detail"] == "INVALID_REFRESH_TOKEN"
    assert post(client, "/api/auth/logout", {"refreshToken": pair["accessToken"]}).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_of_many_requests_with_one_refresh_token_one_wins() -> None:
    user = User.objects.create_user("ann", password=PASSWORD)
    text = sessions.open_session(user).refresh_token
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def refresh() -> None:
        try:
            start.wait()
            sessions.refresh_session(text)
            outcomes.append("won")
        except InvalidRefreshToken:
            outcomes.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["won"]


def test_guesses_are_slowed_down_even_when_the_last_one_is_right(client: Client, user: User) -> None:
    """Lessons, security 6: the origin answered thirty wrong passwords and then the right one."""
    answers = [login(client, password="wrong").status_code for _ in range(7)]
    assert answers == [401] * 5 + [429] * 2
    response = login(client)
    assert (response.status_code, response.json()["detail"]) == (429, "RATE_LIMITED")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert not LoginSession.objects.exists()
    elsewhere = post(client, "/api/auth/login", {"username": "ann", "password": PASSWORD}, REMOTE_ADDR="203.0.113.5")
    assert elsewhere.status_code == 200
    RateBucket.objects.update(empty_at_us=0)
    assert login(client).status_code == 200


def test_right_passwords_are_never_slowed_down(client: Client, user: User) -> None:
    for _ in range(4):
        login(client, password="wrong")
    assert [login(client).status_code for _ in range(12)] == [200] * 12


def test_one_address_cannot_try_one_password_on_every_name(client: Client) -> None:
    answers = [login(client, username=f"name{i}", password="wrong").status_code for i in range(52)]
    assert answers == [401] * 50 + [429] * 2


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_are_counted_too() -> None:
    User.objects.create_user("ann", password=PASSWORD)
    outcomes: list[type[PodiError]] = []

    def guess() -> None:
        try:
            sessions.check_password("ann", "wrong", address="127.0.0.1")
        except PodiError as error:
            outcomes.append(type(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 12
    assert (
        outcomes.count(RateLimited) >= 7
    )  # never more than the five; who comes with an older clock may be refused too


def test_forgotten_logins_are_swept(user: User) -> None:
    sessions.open_session(user)
    assert sessions.sweep_sessions() == 0
    LoginSession.objects.update(expires_at=timezone.now() - timedelta(hours=2))
    assert sessions.sweep_sessions() == 1
