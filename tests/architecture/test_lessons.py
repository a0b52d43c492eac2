"""docs/lessons.md names a test for every lesson, or says what is still open; each test it names exists."""

from __future__ import annotations

import ast
import re

from tests.architecture.code import ROOT

LESSONS = (ROOT / "docs" / "lessons.md").read_text()
ROWS = {int(number): text for number, text in re.findall(r"^\| R(\d+) \|(.*)$", LESSONS, re.MULTILINE)}


def written_tests() -> set[str]:
    """`file::test` of every test function in the repository, files by their path under tests/."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(f"{path.relative_to(ROOT / 'tests')}::{node.name}")
    return found


def test_every_lesson_has_a_row() -> None:
    assert sorted(ROWS) == list(range(1, 32))


def test_every_test_that_the_lessons_name_exists() -> None:
    named = set(re.findall(r"`([\w/]+\.py::test_\w+)`", LESSONS))
    assert named
    assert sorted(named - written_tests()) == []


def test_a_row_without_a_test_says_what_is_open() -> None:
    silent = [number for number, text in ROWS.items() if "::test_" not in text and "open" not in text.lower()]
    assert silent == []
