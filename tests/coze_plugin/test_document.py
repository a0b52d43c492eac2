"""The document: every rule, for every ability of the catalogue and for the strangest that an operator may write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from abilities import services as abilities
from abilities.models import Ability
from coze_plugin import naming, openapi, properties
from coze_plugin.document_rules import find_problems, fits
from coze_plugin.services import offers
from tests.coze_plugin.conftest import make_ability
from tests.coze_plugin.coze import PREFIX, Coze

pytestmark = pytest.mark.django_db(transaction=True)
GROUPS = ("", *naming.GROUPS)
STRANGE: list[dict[str, Any]] = [
    {"name": "picture", "type": "image", "label": "图", "required": True, "multiple": True, "max_items": 3},
    {"name": "mood", "type": "select", "label": "风格", "options": [f"选项 {n} " + "长" * 30 for n in range(30)]},
    {"name": "frames", "type": "select", "label": "帧", "options": [10, 15], "default": 10, "required": True},
    {"name": "scale", "type": "select", "label": "倍数", "options": [0.5, 2], "required": True},
    {"name": "mixed", "type": "select", "label": "混合", "options": [{"label": "一", "value": 1}, "two"]},
    {"name": "share", "type": "number", "label": "比例", "min": 0, "max": 1, "default": 0.5, "required": True},
    {"name": "steps", "type": "number", "label": "步数", "step": 1, "min": 1},
    {"name": "tidy", "type": "switch", "label": "整理", "default": "true"},
    {"name": "prompt", "type": "textarea", "description": "说" * 900, "required": True},
    {"name": "plain", "type": "text"},
    {"name": "dryRun", "type": "text", "label": "自己的 dryRun"},
]


def catalogue() -> None:
    abilities.load_catalog(abilities.read_catalog())


def strange() -> Ability:
    return make_ability(
        capability_key="a_very_long_key_of_an_ability_that_somebody_added_img_to_im",
        description="做" * 1000,
        input_schema={"fields": STRANGE},
        default_params={"steps": 4, "plain": ""},
        metadata={"api_type": "market_image_to_image", "example": {"mood": "none of these", "steps": "many"}},
    )


def body_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    return document["paths"][PREFIX + path]["post"]["requestBody"]["content"]["application/json"]


@pytest.mark.parametrize("group", GROUPS)
def test_every_document_of_the_catalogue_keeps_every_rule(coze: Coze, settings: Any, group: str) -> None:
    catalogue()
    strange()
    settings.COZE_SERVER_URL = "https://podi.example.com"
    response = coze.get(f"/{group}/openapi.json" if group else "/openapi.json")
    document = response.json()
    assert find_problems(document) == []
    assert document["servers"] == [{"url": "https://podi.example.com"}]
    assert document["info"]["title"] == (naming.GROUPS[group][1] if group else "PODI Abilities")
    paths = [path for path in document["paths"] if path.startswith(f"{PREFIX}/tools/")]
    provider = naming.GROUPS[group][0] if group else ""
    expected = [offer for offer in offers() if not provider or offer.ability.provider == provider]
    assert len(paths) == len(expected)
    assert f"{PREFIX}/tasks/get" in document["paths"]


def test_the_rules_find_what_is_wrong() -> None:
    """A checker that finds nothing proves nothing."""
    good = openapi.document([], server="https://podi.example.com")
    assert find_problems(good) == []
    text = json.dumps(good)
    spoiled = {
        '"3.0.0"': '"3.1.0"',
        '"PODI Abilities"': '"PODI, everything"',
        '"https://podi.example.com"': '"podi.example.com"',
        '"podi_task_get"': '"podi_task_get_with_a_name_that_is_too_long"',
        '"integer"': '["integer", "null"]',
        '"200"': '"201"',
        '"required": ["taskId"]': '"required": ["id"]',
        '"type": "boolean", "description"': '"type": "boolean", "additionalProperties": false, "description"',
        '"logId": 12345': '"logId": null',
        '"items": {"type": "string", "description": "': '"items": {"description": "',
        f"{PREFIX}/tasks/get": "tasks/get",
    }
    for right, wrong in spoiled.items():
        assert right in text
        assert find_problems(json.loads(text.replace(right, wrong))), wrong


def test_fields_have_their_real_types_and_pictures_say_so() -> None:
    document = openapi.document(offers_of(strange()), server="https://podi.example.com")
    content = body_of(document, "/tools/podi/a_very_long_key_of_an_ability_that_somebody_added_img_to_im")
    found = content["schema"]["properties"]
    assert found["picture"]["type"] == "array"
    assert (found["picture"]["items"]["format"], found["picture"]["items"]["x-assist-type"]) == ("image_url", "image")
    assert found["frames"] | {"description": ""} == {
        "type": "integer",
        "enum": [10, 15],
        "default": 10,
        "description": "",
    }
    assert found["scale"]["type"] == "number"
    assert found["mixed"]["enum"] == ["1", "two"]
    assert (found["share"]["type"], found["share"]["default"]) == ("number", 0.5)
    assert (found["steps"]["type"], found["steps"]["default"]) == ("integer", 4)
    assert (found["tidy"]["type"], found["tidy"]["default"]) == ("boolean", True)
    assert "enum" not in found["mood"], "values that do not fit into the description are no enumeration"
    assert found["dryRun"]["type"] == "string"
    assert found["dryRun"]["description"].startswith("自己的")
    assert fits(content["example"], content["schema"])
    assert content["schema"]["required"] == ["picture", "frames", "scale", "share", "prompt"]


def offers_of(*wanted: Ability) -> list[Any]:
    ids = {ability.pk for ability in wanted}
    return [offer for offer in offers() if offer.ability.pk in ids]


def test_a_filtered_document_calls_the_main_picture_url_and_requires_it_so(coze: Coze) -> None:
    catalogue()
    utils, everything = coze.get("/utils/openapi.json").json(), coze.get("/openapi.json").json()
    filtered, full = body_of(utils, "/tools/podi/set_dpi"), body_of(everything, "/tools/podi/set_dpi")
    assert filtered["schema"]["required"] == ["url"]
    assert "image_url" not in filtered["schema"]["properties"]
    assert filtered["schema"]["properties"]["url"]["format"] == "image_url"
    assert full["schema"]["required"] == ["image_url"]
    assert "url" in filtered["example"]


def test_an_ability_that_needs_a_picture_and_declares_none_gets_one() -> None:
    ability = make_ability(
        input_schema={"fields": [{"name": "prompt", "type": "text", "label": "词"}]},
        metadata={"requires_image_input": True},
    )
    assert "imageUrl" in properties.body_schema(ability, collapse=False)["properties"]
    assert "url" in properties.body_schema(ability, collapse=True)["properties"]


@pytest.mark.parametrize(
    ("provider", "key", "expected"),
    [
        ("podi", "set_dpi", "podi_podi_set_dpi"),
        ("volcengine", "doubao_seed_1_8", "podi_volc_doubao_seed_1_8"),
        ("volcengine", "doubao_seedream_4_5", "podi_volc_doubao_seedream_4_5"),
        ("volcengine", "doubao_seedance_1_5_pro", "podi_volc_db_seedance_1_5_pro"),
        ("kie", "nano_banana_pro_image_to_image", "podi_kie_nano_banana_pro_i2i"),
        ("kie", "flux2_pro_image_to_image", "podi_kie_flux2_pro_i2i"),
        ("kie", "sora2_pro_text_to_video", "podi_kie_sora2_pro_t2v"),
        ("comfyui", "zhongsu_tisheng", "podi_comfyui_zhongsu_tisheng"),
        ("podi", "background_to_transparent", "podi_podi_bg_to_transparent"),
    ],
)
def test_operation_ids_are_readable_and_never_change(provider: str, key: str, expected: str) -> None:
    """Somebody's bot names them: this list is a promise."""
    found = naming.operation_id(provider, key)
    assert len(found) <= 30
    assert found == expected


def test_operation_ids_that_would_be_the_same_are_told_apart() -> None:
    names = [("kie", "flux2_pro_ultra_i2i"), ("kie", "flux2_pro_ultra_image_to_image"), ("a-b", "c"), ("a_b", "c")]
    found = naming.operation_ids(names)
    assert len(set(found.values())) == 4
    assert found["kie", "flux2_pro_ultra_i2i"] == "podi_kie_flux2_pro_ultra_i2i"
    assert found["a_b", "c"] == "podi_a_b_c"
    assert all(len(name) <= 30 for name in found.values())


def test_a_document_says_where_it_was_asked_for_but_not_what_a_stranger_claims(coze: Coze, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["podi.shop.example", "testserver"]
    settings.PUBLIC_URL = "https://own.example"

    def server(**headers: str) -> str:
        return coze.get("/openapi.json", **headers).json()["servers"][0]["url"]

    assert server(host="podi.shop.example:8099") == "http://podi.shop.example:8099"
    assert server(host="evil.example") == "https://own.example"
    forwarded = {"x-forwarded-host": "podi.shop.example", "x-forwarded-proto": "https"}
    assert server(**forwarded) == "http://testserver"
    settings.TRUSTED_PROXIES = ["203.0.113.0/24"]
    assert server(**forwarded) == "https://podi.shop.example"
    assert server(**{**forwarded, "x-forwarded-host": "evil.example"}) == "https://own.example"
    settings.COZE_SERVER_URL = "https://said.example"
    assert server(**forwarded) == "https://said.example"


def test_an_unknown_group_is_nothing_and_every_provider_has_a_document(coze: Coze) -> None:
    assert coze.get("/nothing/openapi.json").status_code == 404
    assert coze.get("/podi/openapi.json").json()["info"]["title"] == "PODI podi"


def test_the_list_of_abilities_is_the_public_one(coze: Coze, upscale: Ability) -> None:
    listed = coze.get("/abilities").json()["items"]
    assert listed == coze.client.get("/api/abilities").json()["items"]
    assert listed[0]["capabilityKey"] == "upscale_resize"


def test_an_unchanged_document_is_not_sent_again(coze: Coze) -> None:
    first = coze.get("/openapi.json")
    again = coze.get("/openapi.json", **{"if-none-match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
