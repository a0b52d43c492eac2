"""Loads the shipped catalogue into the database, and never overwrites what an operator changed.

Each ability remembers in `seed` what the catalogue last put there. A field that still holds that value follows the
catalogue; one that does not was changed by an operator and stays (R19). Runs only by command, never on a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction

from abilities.models import Ability
from abilities.services.abilities import create_ability, update_ability

CATALOG_DIR = Path(__file__).resolve().parent.parent / "catalog"
_FIELDS = (
    "category",
    "display_name",
    "description",
    "ability_type",
    "status",
    "default_params",
    "input_schema",
    "metadata",
    "workflow_id",
)


@dataclass
class LoadReport:
    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    kept: dict[str, list[str]] = field(default_factory=dict)
    """Fields an operator changed and that differ from the catalogue, by ability."""


def read_catalog(directory: Path = CATALOG_DIR) -> list[dict[str, Any]]:
    """All entries of all files, in file order."""
    entries: list[dict[str, Any]] = []
    for path in sorted(directory.glob("*.json")):
        entries += json.loads(path.read_text(encoding="utf-8"))
    return entries


def load_catalog(entries: list[dict[str, Any]]) -> LoadReport:
    report = LoadReport()
    for entry in entries:
        with transaction.atomic():
            _load(entry, report)
    return report


def _load(entry: Mapping[str, Any], report: LoadReport) -> None:
    wanted = {name: entry[name] for name in _FIELDS if name in entry}
    ability = Ability.objects.filter(provider=entry["provider"], capability_key=entry["capability_key"]).first()
    if ability is None:
        ability = create_ability(
            None,
            ability_id=entry["id"],
            provider=entry["provider"],
            capability_key=entry["capability_key"],
            version=entry.get("version", "v1"),
            **wanted,
        )
        report.created.append(ability.id)
    else:
        changes, kept = _merge(ability, wanted)
        if kept:
            report.kept[ability.id] = kept
        if changes:
            update_ability(None, ability, **changes)
            report.updated.append(ability.id)
    if ability.seed != wanted:
        Ability.objects.filter(pk=ability.pk).update(seed=wanted)


def _merge(ability: Ability, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    changes: dict[str, Any] = {}
    kept: list[str] = []
    for name, value in wanted.items():
        current = getattr(ability, name)
        if current == value:
            continue
        if name in ability.seed and current == ability.seed[name]:
            changes[name] = value
        else:
            kept.append(name)
    return changes, kept
