"""The committed OpenAPI file is what the code generates."""

import json
from pathlib import Path

from django.core.management import call_command

from tests.architecture.code import ROOT


def test_the_committed_openapi_file_equals_the_generated_one(tmp_path: Path) -> None:
    made = tmp_path / "openapi.json"
    call_command("spectacular", "--lang", "en", "--format", "openapi-json", "--file", str(made))
    committed = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert json.loads(made.read_text()) == committed, "run `make openapi` and commit docs/openapi.json"
