"""How many queries a call may cost. The numbers are part of the design (docs/benchmarks.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from abilities import services
from abilities.api.abilities import AbilityListView, InvokeView
from abilities.models import Ability
from tests.abilities.conftest import Api, png_base64

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def readiness(db: None) -> Ability:
    return services.create_ability(
        None,
        ability_id="podi_print_readiness",
        provider="podi",
        category="utilities",
        capability_key="print_readiness",
        display_name="PODI · 印前检查",
        status="active",
        input_schema={"fields": [{"name": "image_url", "type": "image", "required": True}]},
        metadata={"action": "print_readiness", "outputs": {"texts": 1}},
    )


def invoke(api: Api, ability: Ability) -> tuple[Any, list[str]]:
    """The view itself, in this thread, so that its queries are seen."""
    request = RequestFactory().post(
        "/",
        json.dumps({"imageBase64": png_base64()}),
        content_type="application/json",
        headers={"authorization": f"Bearer {api.text}"},
    )
    with CaptureQueriesContext(connection) as captured:
        response = InvokeView.as_view()(request, ability_id=ability.id)
    return response, [query["sql"] for query in captured.captured_queries]


def test_a_sync_invoke_costs_eight_queries_beside_its_picture_in_three_transactions(
    api: Api, readiness: Ability
) -> None:
    invoke(api, readiness)
    response, queries = invoke(api, readiness)
    assert response.status_code == 200
    work = [sql for sql in queries if not sql.startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))]
    picture = [sql for sql in work if "media_objects" in sql or "task_assets" in sql]
    assert len(work) - len(picture) <= 8, work
    assert len(picture) <= 3
    assert sum(sql.startswith("BEGIN") for sql in queries) <= 3


def test_the_ability_list_costs_one_query_and_answers_304(api: Api, readiness: Ability) -> None:
    first = AbilityListView.as_view()(RequestFactory().get("/api/abilities"))
    with CaptureQueriesContext(connection) as captured:
        same = AbilityListView.as_view()(RequestFactory().get("/api/abilities"))
    assert len(captured) == 1
    assert (same["ETag"], same.content) == (first["ETag"], first.content)
    again = AbilityListView.as_view()(RequestFactory().get("/", headers={"if-none-match": first["ETag"]}))
    assert again.status_code == 304
