"""Abilities, users and pictures that the tests of this app share."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from abilities import services
from abilities.models import Ability
from executors import registry
from executors.services import connections
from podi.base.models import User
from podi.base.services import issue_token
from tests.abilities import rig


def png(width: int = 8, height: int = 6, colour: tuple[int, ...] = (200, 30, 30, 255)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def png_base64(width: int = 8, height: int = 6) -> str:
    return base64.b64encode(png(width, height)).decode()


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user(username="lin", email="lin@shop.example", password="invented-password-1")


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user(
        username="boss", email="boss@shop.example", password="invented-password-2", is_staff=True, is_superuser=True
    )


class Api:
    """The test client with a bearer token and JSON both ways."""

    def __init__(self, user: User, **token: Any) -> None:
        issuer = User(username="issuer", is_staff=True)
        self.token, self.text = issue_token(issuer, user, name="tests", **token)
        self.client = Client(headers={"authorization": f"Bearer {self.text}"})

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(
            path, body if body is not None else {}, content_type="application/json", headers=headers
        )

    def put(self, path: str, body: Any) -> Any:
        return self.client.put(path, body, content_type="application/json")

    def delete(self, path: str) -> Any:
        return self.client.delete(path)


@pytest.fixture
def api(user: User) -> Api:
    return Api(user)


@pytest.fixture
def staff_api(operator: User) -> Api:
    return Api(operator, scopes=["admin", "abilities:invoke", "tasks:read", "tasks:write"])


@pytest.fixture
def rigs() -> Iterator[None]:
    """The test's own kinds of provider are known for the length of a test."""
    registry._PROVIDERS.update({kind.kind: kind for kind in rig.KINDS})
    rig.reset()
    yield
    for kind in rig.KINDS:
        del registry._PROVIDERS[kind.kind]
    connections._adapters.clear()


@pytest.fixture
def upscale(db: None) -> Ability:
    """podi/upscale_resize with a picture field, a number and a choice."""
    return services.create_ability(
        None,
        ability_id="podi_upscale_resize",
        provider="podi",
        category="utilities",
        capability_key="upscale_resize",
        display_name="PODI · 高质量缩放",
        status="active",
        default_params={"max_long_edge": 64, "output_format": "png"},
        input_schema={
            "fields": [
                {"name": "image_url", "type": "image", "label": "图片 Image", "required": True},
                {"name": "max_long_edge", "type": "number", "label": "长边 Long edge", "min": 1, "max": 8192},
                {"name": "output_format", "type": "select", "label": "格式 Format", "options": ["png", "jpg"]},
            ]
        },
        metadata={"api_type": "podi_utility", "action": "upscale_resize", "outputs": {"images": 1}},
    )
