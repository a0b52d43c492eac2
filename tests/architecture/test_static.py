"""Every static file that a template or an admin class names exists: a missing one is a broken page (R31)."""

import ast
import re
from collections.abc import Iterator

from django.contrib.staticfiles import finders

from tests.architecture.code import ROOT, parse, sources, where

NAMED = re.compile(r"\{%\s*static\s+['\"]([^'\"]+)['\"]")
ASSET = re.compile(r"[a-z][\w-]*(/[\w.-]+)+\.(css|js|svg|png)")


def named_files() -> Iterator[tuple[str, str]]:
    for path in sorted(ROOT.glob("*/**/templates/**/*.html")) + sorted((ROOT / "templates").rglob("*.html")):
        if ".venv" not in path.parts:
            for name in NAMED.findall(path.read_text()):
                yield str(path.relative_to(ROOT)), name
    for path in sources():
        if "admin" in str(path):
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and ASSET.fullmatch(node.value):
                    yield where(path, node), node.value


def test_every_static_file_that_is_named_exists() -> None:
    assert [f"{place}: {name}" for place, name in named_files() if finders.find(name) is None] == []
