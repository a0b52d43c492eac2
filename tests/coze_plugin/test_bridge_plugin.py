"""The two files of a local plugin: what Coze's form takes, and the same names that a tool call carries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from abilities import services as abilities
from abilities.models import Ability
from coze_plugin.bridge import serving
from tests.abilities.conftest import upscale

__all__ = ["upscale"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def catalogue(db: None) -> None:
    abilities.load_catalog(abilities.read_catalog())


def written(folder: Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    call_command("coze_bridge", write_plugin=folder, stdout=open("/dev/null", "w"), **options)  # noqa: SIM115
    manifest = json.loads((folder / "plugin.json").read_text())
    document = yaml.safe_load((folder / "plugin.yaml").read_text())
    return manifest, document, (folder / "tools.md").read_text()


def test_the_manifest_is_that_of_a_local_plugin(upscale: Ability, tmp_path: Path) -> None:
    manifest, _document, _table = written(tmp_path / "new", contact="ops@shop.example")
    assert manifest["api"]["type"] == "localplugin"
    assert manifest["auth"] == {"type": "none", "service_token": "", "sub_type": "", "payload": ""}
    assert set(manifest["common_params"]) == {"body", "header", "path", "query"}
    assert manifest["contact_email"] == "ops@shop.example"


def test_every_tool_of_the_catalogue_can_be_uploaded(catalogue: None, tmp_path: Path) -> None:
    _manifest, document, _table = written(tmp_path)
    assert document["openapi"] == "3.0.1"
    assert "servers" not in document
    names = [path.removeprefix("/") for path in document["paths"]]
    assert len(names) == Ability.objects.filter(status="active").count() + 1
    assert [name for name in names if not re.fullmatch(r"[A-Za-z0-9_]{1,30}", name)] == []
    for name, item in zip(names, document["paths"].values(), strict=True):
        operation = item["post"]
        assert (operation["operationId"], operation["x-functionName"]) == (name, name)
        assert operation["summary"]
        assert set(operation["responses"]) == {"200", "default"}
        assert all(p["in"] == "query" and p["schema"]["type"] and p["description"] for p in operation["parameters"])
        assert "dryRun" not in [p["name"] for p in operation["parameters"]]
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
        assert (answer["image"]["format"], answer["image"]["x-assist-type"]) == ("image_url", "image")


def test_names_are_those_that_the_bridge_answers_to(catalogue: None, tmp_path: Path) -> None:
    _manifest, document, table = written(tmp_path)
    names = {path.removeprefix("/") for path in document["paths"]}
    assert names == set(serving.chosen_tools([]))
    assert all(f"## {name}" in table for name in names)


def test_only_the_chosen_abilities_are_written(catalogue: None, tmp_path: Path) -> None:
    chosen = Ability.objects.filter(provider="podi", status="active").order_by("pk")[:2]
    spellings = [chosen[0].pk, f"podi/{chosen[1].capability_key}"]
    _manifest, document, _table = written(tmp_path, abilities=spellings)
    assert len(document["paths"]) == 3
