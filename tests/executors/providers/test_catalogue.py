"""Every shipped catalogue file: whole, consistent, and for `podi` in step with the tools themselves."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from abilities import inputs, schema
from executors.providers.base import Endpoint, Order, ProviderRejected
from executors.providers.imaging.tools import TOOLS
from executors.providers.podi import PodiProvider
from tests.executors.providers.pictures import input_file, sample, save

FOLDER = Path(__file__).resolve().parents[3] / "abilities" / "catalog"
FILES = sorted(FOLDER.glob("*.json"))
ENTRIES: list[dict[str, Any]] = [entry for file in FILES for entry in json.loads(file.read_text(encoding="utf-8"))]
PODI = [entry for entry in ENTRIES if entry["provider"] == "podi"]

REQUIRED = {"id", "provider", "category", "capability_key", "display_name", "description", "input_schema", "metadata"}
ALLOWED = REQUIRED | {"version", "status", "ability_type", "default_params", "executor_id", "workflow_id"}
ALLOWED |= {"coze_workflow_id"}
NAME = re.compile(r"[a-z][a-z0-9_]*")


def each(entries: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[entry["id"] for entry in entries])


def fields_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    fields = entry["input_schema"]["fields"]
    assert isinstance(fields, list)
    return fields


def test_there_is_a_catalogue_and_its_ids_are_unique() -> None:
    assert {"podi.json"} <= {file.name for file in FILES}
    assert [id for id, count in Counter(entry["id"] for entry in ENTRIES).items() if count > 1] == []
    assert all(file.read_text(encoding="utf-8").endswith("]\n") for file in FILES)


@each(ENTRIES)
def test_an_entry_has_the_keys_of_an_ability(entry: dict[str, Any]) -> None:
    assert REQUIRED <= set(entry) <= ALLOWED
    assert entry["id"] == f"{entry['provider']}_{entry['capability_key']}"
    assert entry.get("ability_type", "api") in ("api", "comfyui", "workflow", "tool")
    assert entry.get("status", "active") in ("active", "inactive")
    assert len(entry["id"]) <= 64
    assert len(entry["display_name"]) <= 128
    assert entry["description"].strip()


@each(ENTRIES)
def test_its_name_can_be_an_operation_id(entry: dict[str, Any]) -> None:
    assert NAME.fullmatch(entry["provider"])
    assert NAME.fullmatch(entry["capability_key"])
    operation_id = f"podi_{entry['provider']}_{entry['capability_key']}"
    assert len(operation_id) <= 64


@each(ENTRIES)
def test_its_fields_and_defaults_can_be_used(entry: dict[str, Any]) -> None:
    defaults = entry.get("default_params", {})
    assert schema.problems_of(entry["input_schema"], defaults) == {}
    declared = {field["name"]: field["default"] for field in fields_of(entry) if field.get("default") not in (None, "")}
    shared = declared.keys() & defaults.keys()
    assert {name: defaults[name] for name in shared} == {name: declared[name] for name in shared}


@each(ENTRIES)
def test_its_fields_are_fit_for_people(entry: dict[str, Any]) -> None:
    for field in fields_of(entry):
        assert field["label"].strip(), field["name"]
        if field["type"] == "select":
            values = inputs.option_values(field)
            assert len(values) == len(set(values))
            assert field.get("default") in (None, "", *values)
        if field["type"] == "number" and "min" in field and "max" in field:
            assert field["min"] <= field["max"]


@each(ENTRIES)
def test_its_metadata_say_what_comes_out(entry: dict[str, Any]) -> None:
    metadata = entry["metadata"]
    assert metadata["api_type"]
    assert isinstance(metadata["seed_version"], int)
    assert isinstance(metadata["supports_vision"], bool)
    outputs = metadata["outputs"]
    assert outputs
    assert set(outputs) <= {"images", "texts", "videos", "files"}
    assert all(isinstance(count, int) and count > 0 for count in outputs.values())
    assert outputs.get("images", 0) <= metadata["max_output_images"]
    has_required_image = any(field["type"] == "image" and field.get("required") for field in fields_of(entry))
    assert metadata["requires_image_input"] == has_required_image


@each(ENTRIES)
def test_its_example_is_accepted_as_it_stands(entry: dict[str, Any]) -> None:
    found = inputs.check(
        fields=fields_of(entry), defaults=entry.get("default_params", {}), given=entry["metadata"]["example"]
    )
    assert found.unknown == ()


def test_the_catalogue_offers_exactly_the_tools_there_are() -> None:
    assert {entry["metadata"]["action"] for entry in PODI} == set(TOOLS)


@each(PODI)
def test_a_podi_entry_is_as_the_contract_wants_it(entry: dict[str, Any]) -> None:
    assert (entry["category"], entry["ability_type"], entry["version"]) == ("utilities", "api", "v1")
    assert entry["metadata"]["action"] == entry["capability_key"]
    assert entry["metadata"]["api_type"] == "podi_utility"
    assert "pricing" not in entry["metadata"]
    assert not {"executor_id", "workflow_id"} & set(entry)


@each(PODI)
def test_the_catalogues_defaults_are_the_tools_own(entry: dict[str, Any]) -> None:
    image = Image.new("RGBA", (40, 30), "white")
    image.paste(sample((12, 9), "RGB"), (10, 10))
    file = input_file(save(image))

    def made(params: dict[str, Any]) -> Any:
        order = Order(task_id="t", operation=entry["metadata"]["action"], params=params, files=(file,))
        report = PodiProvider(Endpoint(kind="podi")).submit(order)
        return report.outputs, report.raw

    size = {"width_mm": 20, "height_mm": 20} if entry["capability_key"] == "trim_to_canvas" else {}
    size |= {"max_long_edge": 60} if entry["capability_key"] == "upscale_resize" else {}
    assert made(entry["default_params"] | size) == made(size)


@each(PODI)
def test_the_tool_reads_every_field_of_its_entry(entry: dict[str, Any]) -> None:
    """A value no field can take is refused by name: so the tool does look at it."""
    order_of = {"pick_y": "pick_x"}
    for field in fields_of(entry):
        if field["type"] == "image":
            continue
        params = {field["name"]: "\u2603", order_of.get(field["name"], field["name"]): "\u2603"}
        order = Order(
            task_id="t", operation=entry["capability_key"], params=params, files=(input_file(save(sample((20, 20)))),)
        )
        with pytest.raises(ProviderRejected) as caught:
            PodiProvider(Endpoint(kind="podi")).submit(order)
        assert caught.value.code == "INVALID_INPUT", field["name"]


def test_the_contracts_names_fields_and_defaults() -> None:
    by_key = {entry["capability_key"]: entry for entry in PODI}
    sides = {f"expand_{side}": 0 for side in ("left", "right", "top", "bottom")}
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "expand_mask_color": ("PODI · 扩边占位图", sides),
        "set_dpi": ("PODI · 设置 DPI", {"dpi": 300}),
        "upscale_resize": ("PODI · 高质量缩放", {"max_long_edge": 4096, "output_format": "png"}),
    }
    for key, (name, defaults) in wanted.items():
        entry = by_key[key]
        assert (entry["id"], entry["display_name"], entry["default_params"]) == (f"podi_{key}", name, defaults)
        assert [field["name"] for field in fields_of(entry)] == ["image_url", *defaults]
        assert entry["metadata"]["seed_version"] == 1
        assert entry["metadata"]["supports_vision"] is True
