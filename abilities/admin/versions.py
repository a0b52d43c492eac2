"""The frozen versions of an ability, each with what it changed against the one before."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from abilities.models import Ability, AbilityVersion

SHOWN_VERSIONS = 20


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    version: AbilityVersion
    is_current: bool
    changed: tuple[str, ...]
    """The parts of the definition that changed."""
    diff: SafeString | str


def version_rows(ability: Ability) -> list[VersionRow]:
    """Newest first, at most 20. One query."""
    rows = list(ability.versions.select_related("created_by").order_by("-id")[: SHOWN_VERSIONS + 1])
    return [
        VersionRow(
            version=row,
            is_current=row.version == ability.version,
            changed=_changed(before.definition, row.definition) if before else (),
            diff=show_diff(before.definition, row.definition) if before else "",
        )
        for row, before in zip(rows[:SHOWN_VERSIONS], [*rows[1:], None], strict=False)
    ]


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))


def show_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> SafeString:
    """A unified diff as HTML, escaped line by line."""
    lines = list(difflib.unified_diff(_lines(before), _lines(after), lineterm="", n=2))[2:]
    kinds = {"+": "add", "-": "del", "@": "at"}
    return format_html_join(
        "", '<span class="podi-diff-{}">{}\n</span>', ((kinds.get(line[:1], "same"), line) for line in lines)
    )


def _lines(definition: Mapping[str, Any]) -> list[str]:
    return json.dumps(definition, ensure_ascii=False, indent=2, sort_keys=True).splitlines()
