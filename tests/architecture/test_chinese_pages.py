"""Every page of the admin in Chinese, as an operator gets it: nothing on it is left in English."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import reverse

from abilities.models import Ability
from podi.base.models import User
from tests.abilities.rows import make_row
from tests.architecture.pages import find_english

pytestmark = pytest.mark.django_db
VALUES: Final = ("generic", "*BadSignature", "testserver", "Search")
"""Stored words of the rows, which no catalogue can know, and one of Django's own that cannot be translated."""
MODELS: Final = sorted(admin.site._registry, key=lambda model: model._meta.label)
OTHERS: Final = (
    "index",
    "abilities_invocation_metrics",
    "wallet_account_grant",
    "wallet_account_statistics",
    "password_change",
)


@pytest.fixture
def desk(client: Client) -> Client:
    boss = User.objects.create_user(username="boss1", password="invented-password-2", is_staff=True, is_superuser=True)
    client.force_login(boss)
    return client


def read(desk: Client, name: str, *args: Any, values: Sequence[str] = VALUES) -> list[str]:
    """The English on a page; none on one that does not exist for this model."""
    response = desk.get(reverse(f"admin:{name}", args=args))
    assert response.status_code in (200, 403), (name, response.status_code)
    return find_english(response.content.decode(), values=values) if response.status_code == 200 else []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_lists_and_forms_are_chinese(desk: Client, model: type[models.Model]) -> None:
    row = make_row(model)
    own = [value for value in vars(row).values() if isinstance(value, str) and " " in value]
    values = (str(row), *own, *VALUES)
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    found = {
        "list": read(desk, f"{name}_changelist", values=values),
        "add": read(desk, f"{name}_add", values=values),
        **{page: read(desk, f"{name}_{page}", row.pk, values=values) for page in ("change", "history", "delete")},
    }
    assert {page: left for page, left in found.items() if left} == {}


@pytest.mark.parametrize("name", OTHERS)
def test_other_pages_are_chinese(desk: Client, name: str) -> None:
    assert read(desk, name) == []


def test_the_test_panel_is_chinese(desk: Client) -> None:
    ability = make_row(Ability)
    assert read(desk, "abilities_ability_test", ability.pk, values=(str(ability), *VALUES)) == []


def test_the_login_page_is_chinese(client: Client) -> None:
    assert find_english(client.get(reverse("admin:login")).content.decode()) == []


def test_the_reading_finds_what_is_english() -> None:
    page = '<h1>任务 Task</h1><a title="Remove">×</a><code>print</code><input type=submit value="Go on">'
    page += "<p>PODI 运行 12px</p>"
    assert find_english(page) == ["任务 Task", "Remove", "Go on"]
