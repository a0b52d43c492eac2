"""Sync invoke through the podi provider: the contract's answer, and nothing left behind by a refusal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from abilities.models import Ability, Invocation, Task, TaskAsset
from tests.abilities.conftest import Api, png_base64

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_picture_goes_in_and_a_stored_one_comes_out(api: Api, upscale: Ability) -> None:
    response = api.post(f"/api/abilities/{upscale.id}/invoke", {"imageBase64": png_base64(8, 6)})
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer["status"] == "succeeded"
    assert answer["abilityId"] == upscale.id
    assert answer["images"][0]["width"] == 64
    assert answer["images"][0]["tag"] == "podi-upscale-resize"
    assert answer["images"][0]["ossUrl"] == answer["images"][0]["storedUrl"]
    path = "/" + answer["images"][0]["ossUrl"].split("/", 3)[3]
    stored = b"".join(Client().get(path).streaming_content)  # type: ignore[arg-type]
    with Image.open(io.BytesIO(stored)) as image:
        assert image.size == (64, 48)
    invocation = Invocation.objects.get()
    assert invocation.status == "success"
    assert invocation.pk == answer["logId"]
    assert invocation.duration_ms is not None
    assert TaskAsset.objects.filter(asset_type="output").count() == 1


@pytest.mark.parametrize(
    ("body", "status", "detail", "field"),
    [
        ({}, 422, "INVALID_INPUT", "image_url"),
        ({"imageBase64": "%%%"}, 400, "IMAGE_BASE64_INVALID", "image_url"),
        ({"imageBase64": "$P", "inputs": {"max_long_edge": "64px"}}, 422, "INVALID_INPUT", "max_long_edge"),
        ({"imageBase64": "$P", "inputs": {"max_long_edge": 0}}, 422, "INVALID_INPUT", "max_long_edge"),
        ({"imageBase64": "$P", "inputs": {"output_format": "PNG 图"}}, 422, "INVALID_INPUT", "output_format"),
        ({"imageBase64": "$P", "inputs": []}, 422, "INVALID_INPUT", "inputs"),
        ({"imageUrl": "ftp://shop.example/x.png"}, 400, "URL_FORBIDDEN", "image_url"),
        ({"imageUrl": "http://10.0.0.7/x.png"}, 400, "URL_FORBIDDEN", "image_url"),
    ],
)
def test_bad_input_is_named_and_nothing_is_stored(
    api: Api, upscale: Ability, body: dict[str, Any], status: int, detail: str, field: str
) -> None:
    if body.get("imageBase64") == "$P":
        body["imageBase64"] = png_base64()
    response = api.post(f"/api/abilities/{upscale.id}/invoke", body)
    answer = response.json()
    assert (response.status_code, answer["detail"]) == (status, detail), answer
    assert field in answer["fields"]
    assert answer["requestId"]
    assert not Task.objects.exists()
    assert not Invocation.objects.exists()


def test_an_unknown_or_inactive_ability_is_refused(api: Api, upscale: Ability) -> None:
    assert api.post("/api/abilities/nope/invoke", {}).json()["detail"] == "ABILITY_NOT_FOUND"
    Ability.objects.update(status="inactive")
    response = api.post(f"/api/abilities/{upscale.id}/invoke", {"imageBase64": png_base64()})
    assert (response.status_code, response.json()["detail"]) == (400, "ABILITY_INACTIVE")
    created = api.post("/api/ability-tasks", {"abilityId": upscale.id})
    assert (created.status_code, created.json()["detail"]) == (404, "ABILITY_NOT_FOUND_OR_INACTIVE")
    assert not Task.objects.exists()


def test_a_dry_run_prices_and_names_but_stores_nothing(api: Api, upscale: Ability) -> None:
    response = api.post(f"/api/abilities/{upscale.id}/invoke?dryRun=true", {"imageBase64": png_base64()})
    assert response.json()["dryRun"] is True
    assert response.json()["inputs"] == {"max_long_edge": 64, "output_format": "png"}
    assert not Task.objects.exists()


def test_one_idempotency_key_makes_one_task(api: Api, upscale: Ability) -> None:
    body = {"imageBase64": png_base64()}
    path = f"/api/abilities/{upscale.id}/invoke"
    first = api.post(path, body, **{"idempotency-key": "order-1"}).json()
    again = api.post(path, body, **{"idempotency-key": "order-1"}).json()
    assert first["taskId"] == again["taskId"]
    other = api.post(path, {"imageBase64": png_base64(9, 9)}, **{"idempotency-key": "order-1"})
    assert (other.status_code, other.json()["detail"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert Task.objects.count() == 1
