"""Every page of every registered model opens, and its list costs the same however many rows it shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from podi.base.models import User
from tests.abilities.rows import make_row

pytestmark = pytest.mark.django_db
ROWS = 50
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
MAX_LIST_QUERIES = 12


@pytest.fixture(autouse=True)
def english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def address(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def queries_of(desk: Client, url: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = desk.get(url)
    assert response.status_code == 200, (url, response.status_code)
    shown = response.context.get("cl")  # a page of its own may stand where a list would
    assert shown is None or shown.result_count or shown.result_list
    return len(queries)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_R30_every_list_opens_with_a_number_of_queries_that_rows_do_not_change(
    desk: Client, model: type[models.Model]
) -> None:
    for _ in range(2):
        make_row(model)
    few = queries_of(desk, address(model, "changelist"))
    for _ in range(ROWS - 2):
        make_row(model)
    many = queries_of(desk, address(model, "changelist"))
    assert many <= few, f"{many - few} queries more for {ROWS - 2} rows more"
    assert many <= MAX_LIST_QUERIES


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_row_and_every_empty_form_opens(desk: Client, model: type[models.Model], rf: Any, operator: User) -> None:
    row = make_row(model)
    response = desk.get(address(model, "change", row.pk))
    assert response.status_code == 200, response.status_code
    request = rf.get("/")
    request.user = operator
    may_add = admin.site._registry[model].has_add_permission(request)
    assert desk.get(address(model, "add")).status_code == (200 if may_add else 403)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_nobody_but_operators_sees_a_list(client: Client, user: User, model: type[models.Model]) -> None:
    client.force_login(user)
    response = client.get(address(model, "changelist"))
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_list_can_be_searched_and_found_empty(desk: Client, model: type[models.Model]) -> None:
    make_row(model)
    response = desk.get(address(model, "changelist") + "?q=no-such-thing-anywhere")
    assert response.status_code == 200
    if admin.site._registry[model].search_fields:
        assert not list(response.context["cl"].result_list)
