"""Executors from a file, once: what is missing is created, what exists belongs to the operators and stays as it is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.utils.translation import gettext_lazy as _

from executors.models import Executor
from executors.services.fleet import ExecutorChanges, create_executor
from podi.base.errors import InvalidInput
from podi.base.models import User

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::-([^}]*))?\}")
_FIELDS = ("name", "type", "base_url", "status", "weight", "max_concurrency", "queue_limit", "config")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Ids, by what became of them."""

    created: tuple[str, ...]
    kept: tuple[str, ...]


def load_executors(actor: User, path: Path, *, environment: Mapping[str, str] | None = None) -> Loaded:
    """Create the executors of a YAML or JSON file (`executors: [{id, name, type, ...}]`) that do not exist yet.

    `${NAME}` and `${NAME:-default}` are filled from the environment. Everything is checked before anything is stored:
    raises InvalidInput for a file that cannot be read or a variable that is not set, and what `create_executor` raises.
    """
    entries = _read(path, os.environ if environment is None else environment)
    known = set(Executor.objects.filter(pk__in=[entry["id"] for entry in entries]).values_list("pk", flat=True))
    created = []
    for entry in entries:
        if entry["id"] not in known:
            values: ExecutorChanges = {name: entry[name] for name in _FIELDS if name in entry}  # type: ignore[assignment]
            create_executor(actor, values, executor_id=entry["id"])
            created.append(entry["id"])
    return Loaded(created=tuple(created), kept=tuple(entry["id"] for entry in entries if entry["id"] in known))


def _read(path: Path, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidInput(fields={str(path): str(error)}) from error
    rows = content.get("executors") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("id") for row in rows):
        raise InvalidInput(fields={str(path): _("It must hold a list `executors` of objects, each with an `id`.")})
    if unknown := sorted({str(key) for row in rows for key in row} - {"id", *_FIELDS}):
        raise InvalidInput(fields=dict.fromkeys(unknown, _("Unknown field.")))
    missing: set[str] = set()
    entries = [_fill(row, environment, missing) for row in rows]
    if missing:
        raise InvalidInput(fields=dict.fromkeys(sorted(missing), _("This environment variable is not set.")))
    return entries


def _fill(value: Any, environment: Mapping[str, str], missing: set[str]) -> Any:
    """The same structure with `${NAME}` replaced in its texts."""
    if isinstance(value, dict):
        return {key: _fill(inner, environment, missing) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_fill(inner, environment, missing) for inner in value]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        found = environment.get(name) or default
        if found is None:
            missing.add(name)
        return found or ""

    return _VARIABLE.sub(replacement, value)
