"""`load_executors`: creates what is missing, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from executors.models import Executor

pytestmark = pytest.mark.django_db

FILE = """
executors:
  - id: node_a
    name: Node A
    type: testnode
    base_url: ${TEST_NODE_URL}
    status: active
    weight: 2
    config: {tags: [gpu], password: "${TEST_NODE_PASSWORD:-invented-default-9876}"}
  - {id: node_b, name: Node B, type: testnode, max_concurrency: 4}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEST_NODE_URL", "http://node-a.invalid:8079")
    path = tmp_path / "executors.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """The command speaks the operator's language; the tests read English."""
    with translation.override("en"):
        yield


def test_missing_executors_are_created_with_variables_filled(file: Path, capsys: Any) -> None:
    call_command("load_executors", str(file))
    row = Executor.objects.get(pk="node_a")
    assert (row.base_url, row.weight, row.config) == ("http://node-a.invalid:8079", 2, {"tags": ["gpu"]})
    assert row.secrets == {"password": "invented-default-9876"}
    assert Executor.objects.get(pk="node_b").max_concurrency == 4
    assert "2" in capsys.readouterr().out


def test_R19_loading_again_changes_nothing_an_operator_set(file: Path, settings: Any) -> None:
    call_command("load_executors", str(file))
    Executor.objects.filter(pk="node_a").update(status="inactive", weight=9, base_url="http://moved.invalid")
    settings.EXECUTOR_CONFIG_PATH = str(file)
    call_command("load_executors")
    row = Executor.objects.get(pk="node_a")
    assert (row.status, row.weight, row.base_url) == ("inactive", 9, "http://moved.invalid")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("executors: [{id: a, name: A, type: testnode, base_url: '${TEST_NOT_SET}'}]", "TEST_NOT_SET"),
        ("executors: [{id: a, name: A, type: mock}]", "ABILITY_PROVIDER_UNSUPPORTED"),
        ("executors: [{name: A}]", "each with an `id`"),
        ("executors: [{id: a, nme: A}]", "nme"),
        ("executors: [{id: ok, name: A, type: testnode}, {id: bad, type: testnode}]", "name"),
        ("executors: [", "executors"),
    ],
)
def test_a_wrong_file_stores_nothing(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "executors.yaml"
    path.write_text(text)
    with pytest.raises(CommandError, match=reason):
        call_command("load_executors", str(path))
    assert not Executor.objects.exists()
