"""Two users, one of them an operator, and HTTP clients that act as them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from podi.base.models import User


@pytest.fixture
def owner() -> User:
    return User.objects.create(username="anna")


@pytest.fixture
def operator() -> User:
    return User.objects.create(username="olga", is_staff=True, is_superuser=True)


@pytest.fixture
def call() -> Callable[..., Any]:
    """`call(user, "POST freeze", {...})`: the status and the body."""

    def send(user: User | str | None, what: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        method, path = what.split(" ", 1)
        path = path if path.startswith("/") else f"/api/wallet/v1/{path}"
        if user is not None:
            text = user if isinstance(user, str) else str(AccessToken.for_user(user))
            headers["Authorization"] = f"Bearer {text}"
        if method == "GET":
            answer = Client().get(path, body or {}, headers=headers)
        else:
            answer = Client().post(path, body, content_type="application/json", headers=headers)
        return answer.status_code, answer.json()

    return send
