"""The catalogue, its versions, and the staff endpoints that keep it (contract 1.9, 1.12)."""

from __future__ import annotations

import base64
import copy
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from PIL import Image

from abilities import services
from abilities.models import Ability, AbilityVersion
from tests.abilities.conftest import Api
from tests.architecture.code import ROOT

pytestmark = pytest.mark.django_db

ENTRY: dict[str, Any] = {
    "id": "podi_trial",
    "provider": "podi",
    "category": "utilities",
    "capability_key": "trial",
    "display_name": "PODI · 试 Trial",
    "description": "Tries.",
    "status": "active",
    "default_params": {"size": 64},
    "input_schema": {"fields": [{"name": "size", "type": "number", "min": 1}]},
    "metadata": {"action": "upscale_resize", "max_output_images": 1, "pricing": {"unit": "per_call", "points": 2}},
}
BODY = {name: ENTRY[name] for name in ("provider", "category", "capability_key", "display_name")}
ITEM_KEYS = {
    *("id", "provider", "category", "capabilityKey", "version", "displayName", "description", "status", "abilityType"),
    *("workflowId", "executorId", "cozeWorkflowId", "defaultParams", "inputSchema", "metadata", "requiresImage"),
    *("supportsMultipleImages", "maxOutputImages", "lastHealthCheckAt", "lastHealthStatus", "successRate"),
}
OPTION_KEYS = {
    *("id", "provider", "category", "capability_key", "version", "display_name", "description", "default_params"),
    *("input_schema", "metadata", "coze_workflow_id"),
}


def entry(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ENTRY), **changes}


# Loading


def test_R19_loading_again_changes_nothing_and_never_reverts_an_operator() -> None:
    first = services.load_catalog([entry()])
    assert first.created == ["podi_trial"]
    ability = services.find_ability("podi_trial")
    services.update_ability(None, ability, status="inactive", display_name="Ours", default_params={"size": 9})
    for _ in range(2):
        report = services.load_catalog([entry()])
        assert not report.created
        assert not report.updated
        assert sorted(report.kept["podi_trial"]) == ["default_params", "display_name", "status"]
    kept = services.find_ability("podi_trial")
    assert (kept.status, kept.display_name, kept.default_params) == ("inactive", "Ours", {"size": 9})


def test_R19_what_nobody_touched_follows_the_catalogue_as_a_new_version() -> None:
    services.load_catalog([entry()])
    services.update_ability(None, services.find_ability("podi_trial"), display_name="Ours")
    report = services.load_catalog([entry(display_name="Theirs anew", description="Tries better.")])
    assert report.updated == ["podi_trial"]
    found = services.find_ability("podi_trial")
    assert (found.display_name, found.description) == ("Ours", "Tries better.")
    assert services.find_ability("podi_trial", version="v1").description == "Tries."
    versions = AbilityVersion.objects.filter(ability=found).order_by("id").values_list("version", flat=True)
    assert list(versions) == ["v1", "v2", "v3"]


def test_an_ability_an_operator_made_by_hand_is_not_taken_over() -> None:
    services.create_ability(None, ability_id="mine", **{**BODY, "display_name": "Made by hand"})
    report = services.load_catalog([entry()])
    assert not report.created
    assert Ability.objects.get().display_name == "Made by hand"


def test_the_shipped_catalogue_loads_twice_from_nothing_and_changes_nothing_the_second_time() -> None:
    call_command("load_catalog", verbosity=0)
    before = {row.pk: (row.version, row.updated_at) for row in Ability.objects.all()}
    call_command("load_catalog", verbosity=0)
    assert {row.pk: (row.version, row.updated_at) for row in Ability.objects.all()} == before
    assert len(before) >= 9
    assert all(Ability.objects.values_list("status", flat=True))


# What anybody may read


def test_R21_an_item_has_the_keys_of_the_contract_and_its_json_schema(client: Any) -> None:
    services.load_catalog([entry()])
    (item,) = client.get("/api/abilities").json()["items"]
    assert set(item) == ITEM_KEYS | {"jsonSchema"}
    assert (item["requiresImage"], item["supportsMultipleImages"], item["maxOutputImages"]) == (False, False, 1)
    assert item["jsonSchema"]["properties"]["size"] == {"title": "size", "type": "number", "minimum": 1}
    one = client.get("/api/abilities/podi_trial").json()
    assert set(one) == ITEM_KEYS | {"jsonSchema", "versions"}
    (option,) = client.get("/api/abilities/options").json()["items"]
    assert set(option) == OPTION_KEYS
    assert (option["version"], option["coze_workflow_id"]) == (None, None)
    assert client.get("/api/abilities/options?provider=comfyui").json()["items"] == []


def test_routing_is_nobodys_business(client: Any) -> None:
    secret = {"allowed_executor_ids": ["node_7"], "required_tags": ["fast"], "routing_policy": "fixed"}
    services.load_catalog([entry(metadata={**ENTRY["metadata"], **secret})])
    for path in ("/api/abilities", "/api/abilities/podi_trial", "/api/abilities/options"):
        assert b"node_7" not in client.get(path).content


def test_an_inactive_ability_is_as_absent_as_none_and_the_list_has_an_order(client: Any) -> None:
    services.load_catalog(
        [
            entry(),
            entry(id="podi_a", capability_key="a"),
            entry(id="podi_off", capability_key="off", status="inactive"),
            entry(id="comfyui_z", provider="comfyui", capability_key="z"),
        ]
    )
    ids = [item["id"] for item in client.get("/api/abilities").json()["items"]]
    assert ids == ["comfyui_z", "podi_a", "podi_trial"]
    for missing in ("podi_off", "nobody"):
        response = client.get(f"/api/abilities/{missing}")
        assert (response.status_code, response.json()["detail"]) == (404, "ABILITY_NOT_FOUND")


def test_R30_an_unchanged_list_is_answered_by_304_also_behind_a_compressing_proxy(client: Any) -> None:
    services.load_catalog([entry()])
    etag = client.get("/api/abilities")["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get("/api/abilities", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
    services.update_ability(None, services.find_ability("podi_trial"), display_name="New")
    assert client.get("/api/abilities", headers={"if-none-match": etag}).status_code == 200


# Staff


def test_only_operators_keep_the_catalogue(api: Api) -> None:
    for answer in (api.get("/api/admin/abilities"), api.post("/api/admin/abilities", BODY)):
        assert (answer.status_code, answer.json()["detail"]) == (403, "ADMIN_ONLY")
    assert not Ability.objects.exists()


def test_publishing_changing_part_by_part_and_deleting(staff_api: Api, client: Any) -> None:
    made = staff_api.post("/api/admin/abilities", BODY).json()
    assert (made["status"], made["version"], len(made["id"])) == ("inactive", "v1", 32)
    path = f"/api/admin/abilities/{made['id']}"
    assert client.get("/api/abilities").json()["items"] == []
    assert staff_api.put(path, {"status": "active"}).json()["version"] == "v1"
    changed = staff_api.put(path, {"input_schema": ENTRY["input_schema"], "default_params": {"size": 5}}).json()
    assert (changed["version"], changed["display_name"], changed["status"]) == ("v2", ENTRY["display_name"], "active")
    assert staff_api.put(path, {"metadata": ENTRY["metadata"], "version": "summer"}).json()["version"] == "summer"
    assert staff_api.put(path, {"description": "again"}).json()["version"] == "summer.1"
    (option,) = staff_api.get("/api/admin/abilities/options").json()["items"]
    assert set(option) == OPTION_KEYS
    assert option["version"] == "summer.1"
    listed = staff_api.get("/api/admin/abilities").json()
    assert isinstance(listed, list)
    assert listed[0]["capability_key"] == "trial"
    assert staff_api.delete(path).json() == {"status": "deleted"}
    assert staff_api.put(path, {"status": "active"}).status_code == 404
    assert staff_api.delete(path).json()["detail"] == "ABILITY_NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"executor_id": "nobody"}, 400, "EXECUTOR_NOT_FOUND"),
        ({"workflow_id": "nothing"}, 400, "WORKFLOW_NOT_FOUND"),
        ({"provider": "mock"}, 400, "ABILITY_PROVIDER_UNSUPPORTED:mock"),
        ({"capability_key": "taken"}, 409, "ABILITY_KEY_TAKEN"),
        ({"status": "sometimes"}, 422, "INVALID_INPUT"),
        ({"input_schema": {"fields": [{"name": "1x"}]}}, 422, "INVALID_INPUT_SCHEMA"),
        ({"input_schema": {"fields": [{"name": "x", "type": "number", "min": "one"}]}}, 422, "INVALID_INPUT_SCHEMA"),
        ({"default_params": {"size": "big"}, "input_schema": ENTRY["input_schema"]}, 422, "INVALID_INPUT_SCHEMA"),
        ({"metadata": {"pricing": {"points": "two"}}}, 422, "INVALID_INPUT"),
        ({"version": "v0"}, 422, "INVALID_INPUT"),
    ],
)
def test_a_wrong_change_is_refused_and_nothing_is_changed(
    staff_api: Api, change: dict[str, Any], status: int, detail: str
) -> None:
    services.load_catalog([entry(), entry(id="podi_taken", capability_key="taken")])
    ability = Ability.objects.get(pk="podi_trial")
    AbilityVersion.objects.create(ability=ability, version="v0", definition={"category": "older"})
    before = Ability.objects.filter(pk="podi_trial").values().get()
    answer = staff_api.put("/api/admin/abilities/podi_trial", change)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)
    assert Ability.objects.filter(pk="podi_trial").values().get() == before
    made = staff_api.post("/api/admin/abilities", {**BODY, "capability_key": "other", **change})
    assert made.status_code == status or "version" in change
    assert Ability.objects.count() == 2 + ("version" in change)


def test_R19_two_operators_who_change_different_things_lose_neither() -> None:
    services.load_catalog([entry()])
    mine, theirs = services.find_ability("podi_trial"), services.find_ability("podi_trial")
    services.update_ability(None, theirs, metadata={**ENTRY["metadata"], "note": "theirs"})
    services.update_ability(None, mine, display_name="mine")
    now = services.find_ability("podi_trial")
    assert (now.display_name, now.metadata["note"], now.version) == ("mine", "theirs", "v3")


def test_the_ability_that_the_documentation_publishes_can_be_published_and_called(staff_api: Api) -> None:
    text = (ROOT / "docs" / "abilities.md").read_text()
    body = json.loads(text.partition("-d '")[2].partition("\n}'")[0] + "\n}")
    body["default_params"] |= {"width_mm": 20, "height_mm": 30}  # a poster would take a while
    made = staff_api.post("/api/admin/abilities", body).json()
    picture = Image.new("RGB", (40, 40), "white")
    picture.paste((200, 30, 30), (10, 10, 30, 30))
    file = io.BytesIO()
    picture.save(file, "PNG")
    call = {"imageBase64": base64.b64encode(file.getvalue()).decode()}
    done = staff_api.post(f"/api/abilities/{made['id']}/invoke", call)
    assert (done.status_code, done.json()["status"]) == (200, "succeeded"), done.content
