"""R23: a code means one thing, and every code is documented."""

from __future__ import annotations

import re
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from podi.base import error_catalogue
from podi.base.errors import PodiError

CODES = error_catalogue.find_errors()


def test_R23_a_code_belongs_to_one_class() -> None:
    assert [code for code, count in Counter(cls.code for cls in CODES).items() if count > 1] == []


@pytest.mark.parametrize("cls", CODES, ids=lambda cls: cls.code)
def test_R23_a_code_is_complete(cls: type[PodiError]) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", cls.code)
    assert 400 <= cls.status <= 599
    assert cls.fault in error_catalogue.WHO
    assert str(cls.message).strip()
    assert cls is PodiError or cls.message != PodiError.message
    assert cls.retryable or cls.status != 429


def test_R23_the_committed_document_is_what_the_classes_say() -> None:
    call_command("errors_doc", "--check")


def test_the_check_fails_on_a_difference_and_writing_mends_it(tmp_path: Path, settings: Any) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    with pytest.raises(CommandError):
        call_command("errors_doc", "--check", stdout=StringIO())
    call_command("errors_doc")
    call_command("errors_doc", "--check")
    assert "| `INVALID_TOKEN` | 401 | the caller | no | no |" in (tmp_path / "docs/errors.md").read_text()
