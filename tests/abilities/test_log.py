"""The call log for operators: list, export, metrics, and fetching lost results again (contract 1.12)."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from abilities.models import Ability, Invocation, Task
from podi.base.models import User
from tests.abilities.conftest import Api, png_base64

pytestmark = pytest.mark.django_db

COLUMNS = [
    *("id", "created_at", "status", "ability_provider", "capability_key", "ability_id", "ability_name", "executor_id"),
    *("executor_name", "executor_type", "source", "duration_ms", "stored_url", "error_message", "task_id"),
    *("callback_id", "trace_id", "workflow_run_id", "request_payload", "response_payload", "result_assets"),
]
ITEM_KEYS = {
    *("id", "ability_id", "ability_provider", "capability_key", "ability_name", "executor_id", "executor_name"),
    *("executor_type", "source", "task_id", "callback_id", "trace_id", "workflow_run_id", "status", "duration_ms"),
    *("stored_url", "request_payload", "response_payload", "result_assets", "error_message", "callback_status"),
    *("callback_http_status", "callback_payload", "callback_response", "callback_error", "callback_started_at"),
    *("callback_finished_at", "billing_unit", "unit_price", "currency", "cost_amount", "created_at"),
}


def add(ability: Ability, user: User, **changes: Any) -> Invocation:
    now = changes.pop("created_at", timezone.now())
    task = Task.objects.create(
        ability=ability, provider=ability.provider, owner=user, created_at=now, deadline_at=now, state="succeeded"
    )
    values: dict[str, Any] = {
        "attempt": 1,
        "ability": ability,
        "ability_provider": ability.provider,
        "capability_key": ability.capability_key,
        "source": "ability-api",
        "request_id": task.request_id,
        "status": "success",
        "step": "closed",
        "created_at": now,
    }
    return Invocation.objects.create(task=task, **(values | changes))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def text_of(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def test_R8_a_real_call_is_in_the_log_with_request_phases_cost_and_result(
    api: Api, staff_api: Api, upscale: Ability
) -> None:
    answer = api.post(f"/api/abilities/{upscale.id}/invoke", {"imageBase64": png_base64(), "nonsense": 1}).json()
    listed = staff_api.get(f"/api/admin/abilities/{upscale.id}/logs").json()
    assert (listed["total"], listed["limit"], listed["offset"]) == (1, 20, 0)
    (item,) = listed["items"]
    assert set(item) >= ITEM_KEYS
    assert (item["id"], item["status"], item["source"]) == (answer["logId"], "success", "ability-api")
    assert (item["request_id"], item["callback_id"]) == (answer["requestId"], answer["taskId"])
    assert item["request_payload"]["hasImageBase64"] is True
    assert png_base64() not in json.dumps(item)
    assert item["phases"]["finished_at"]
    assert item["result_assets"][0]["ossKey"] == answer["images"][0]["ossKey"]
    assert item["stored_url"]
    assert answer["metadata"]["ignoredInputs"] == ["nonsense"]


def test_filters_and_pages(staff_api: Api, api: Api, upscale: Ability, user: User) -> None:
    for _ in range(5):
        add(upscale, user)
    other = add(upscale, user, ability_provider="kie", capability_key="market")
    assert staff_api.get("/api/admin/abilities/logs?provider=kie").json()["items"][0]["id"] == other.pk
    page = staff_api.get("/api/admin/abilities/logs?limit=2&offset=2").json()
    assert (page["total"], [item["id"] for item in page["items"]]) == (6, [other.pk - 2, other.pk - 3])
    assert staff_api.get("/api/admin/abilities/nobody/logs").json()["detail"] == "ABILITY_NOT_FOUND"
    assert staff_api.get("/api/admin/abilities/logs?limit=201").status_code == 422
    assert api.get("/api/admin/abilities/logs").json()["detail"] == "ADMIN_ONLY"


def test_the_export_is_the_contracts_table_and_no_cell_is_a_formula(
    staff_api: Api, upscale: Ability, user: User
) -> None:
    evil = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\n=1"]
    for text in evil:
        add(upscale, user, ability_name=text, error_message="-5")
    response = staff_api.get("/api/admin/abilities/logs/export")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    today = timezone.now()
    assert f"_{today:%Y%m%d}.csv" in response["Content-Disposition"]
    rows = rows_of(text_of(response))
    assert list(rows[0]) == COLUMNS
    assert [row["ability_name"] for row in reversed(rows)] == [f"'{text}" for text in evil]
    assert {row["error_message"] for row in rows} == {"-5"}
    assert {row["executor_id"] for row in rows} == {""}


def test_the_export_keeps_to_its_window_limit_and_filters(staff_api: Api, upscale: Ability, user: User) -> None:
    old = add(upscale, user, created_at=timezone.now() - timedelta(hours=30))
    middle = add(upscale, user, created_at=datetime(2026, 3, 1, 12, tzinfo=UTC), status="failed")
    new = add(upscale, user)

    def ids(query: str) -> list[int]:
        body = json.loads(text_of(staff_api.get(f"/api/admin/abilities/logs/export?format=json&{query}")))
        assert body["count"] == len(body["items"])
        assert set(body) == {"generated_at", "window", "count", "items"}
        return [item["id"] for item in body["items"]]

    assert ids("") == [new.pk]
    assert ids("sinceHours=31") == [new.pk, old.pk]
    assert ids("sinceHours=31&limit=1") == [new.pk]
    start = int(middle.created_at.timestamp())
    for window in (
        f"start={start}&end={start + 1}",
        f"start={start * 1000}&end={start * 1000 + 1000}",
        "start=2026-03-01T12:00:00Z&end=2026-03-01T12:00:01Z",
        "start=2026-03-01 12:00:00&end=2026-03-01T13:00:00%2B00:00",
        "start=2026-03-01T20:00:00+08:00&end=2026-03-01T13:00:00",
    ):
        assert ids(window) == [middle.pk], window
    assert ids(f"start={start}&status=failed") == [middle.pk]
    assert len(rows_of(text_of(staff_api.get("/api/admin/abilities/logs/export?format=csv")))) == 1
    for wrong in ("start=yesterday", "start=99999999999999999999", "end=2026-13-01", "format=xlsx", "sinceHours=721"):
        assert staff_api.get(f"/api/admin/abilities/logs/export?{wrong}").status_code == 422, wrong


def test_the_metrics_count_as_the_contract_says(staff_api: Api, upscale: Ability, user: User) -> None:
    for ms in (10, 20, 30, 40, 1000):
        add(upscale, user, duration_ms=ms)
    add(upscale, user, status="failed", duration_ms=5)
    add(upscale, user, status="interrupted")
    add(upscale, user, duration_ms=7, created_at=timezone.now() - timedelta(hours=25))
    body = staff_api.get("/api/admin/abilities/logs/metrics").json()
    assert body["window_hours"] == 24
    (bucket,) = body["buckets"]
    assert (bucket["count"], bucket["success_count"], bucket["failed_count"]) == (7, 5, 1)
    assert bucket["success_rate"] == round(5 / 6, 4)
    assert bucket["avg_duration_ms"] == 220
    # index int((n-1)*p) of the sorted successes: int(4*0.5) = 2, int(4*0.95) = 3
    assert (bucket["p50_duration_ms"], bucket["p95_duration_ms"]) == (30, 40)
    assert bucket["last_failed_at"].endswith("Z")
    assert staff_api.get("/api/admin/abilities/logs/metrics?provider=kie").json()["buckets"] == []
    assert staff_api.get("/api/admin/abilities/logs/metrics?windowHours=0").status_code == 422


def test_results_that_are_there_or_not_a_nodes_are_not_fetched_again(
    staff_api: Api, upscale: Ability, user: User
) -> None:
    path = "/api/admin/abilities/logs/{}/resolve"
    assert staff_api.post(path.format(999)).json()["detail"] == "ABILITY_LOG_NOT_FOUND"
    row = add(upscale, user)
    assert staff_api.post(path.format(row.pk)).json()["detail"] == "ABILITY_LOG_NOT_COMFYUI"
    node = add(upscale, user, executor_type="comfyui")
    assert staff_api.post(path.format(node.pk)).json()["detail"] == "COMFYUI_PROMPT_ID_REQUIRED"
    Invocation.objects.filter(pk=node.pk).update(ref="0e8ad1b2-0000-4000-8000-000000000000")
    assert staff_api.post(path.format(node.pk)).json()["detail"] == "COMFYUI_BASE_URL_REQUIRED"
