"""What follows from `inputSchema.fields`: JSON Schema of the inputs, and checking what an operator wrote."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from abilities import inputs

MAX_FIELDS = 60
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FIELD_KEYS = frozenset(
    {"name", "type", "label", "description", "placeholder", "required", "default", "min", "max", "options"}
    | {"aliases", "unit", "multiple", "max_items", "max_length", "step", "format"}
)


def fields_of(input_schema: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return list((input_schema or {}).get("fields") or [])


def json_schema(input_schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """JSON Schema (2020-12) of the `inputs` object."""
    fields = fields_of(input_schema)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field["name"]: _property(field) for field in fields},
    }
    if required := [field["name"] for field in fields if field.get("required")]:
        schema["required"] = required
    return schema


def _property(field: Mapping[str, Any]) -> dict[str, Any]:
    kind = field.get("type", "text")
    found: dict[str, Any] = {"title": str(field.get("label") or field["name"])}
    if field.get("description"):
        found["description"] = str(field["description"])
    if kind == "number":
        found["type"] = "number"
        found |= {ours: field[key] for key, ours in (("min", "minimum"), ("max", "maximum")) if key in field}
    elif kind == "switch":
        found["type"] = "boolean"
    elif kind == "select":
        found["enum"] = inputs.option_values(field)
    elif kind == "image" and field.get("multiple"):
        found |= {"type": "array", "items": {"type": "string"}, "maxItems": int(field.get("max_items") or 20)}
    else:
        found["type"] = "string"
    if field.get("default") not in (None, ""):
        found["default"] = field["default"]
    return found


def problems_of(input_schema: Any, default_params: Any) -> dict[str, str | Promise]:
    """What is wrong with a definition, by place. Empty when it can be used."""
    if input_schema in (None, {}):
        return {}
    if not isinstance(input_schema, Mapping) or not isinstance(input_schema.get("fields"), list):
        return {"input_schema": _("Must be an object with a list `fields`.")}
    problems: dict[str, str | Promise] = {}
    seen: set[str] = set()
    if len(input_schema["fields"]) > MAX_FIELDS:
        problems["input_schema"] = _("Too many fields.")
    for position, field in enumerate(input_schema["fields"][:MAX_FIELDS]):
        if problem := _field_problem(field, seen):
            problems[f"fields[{position}]"] = problem
    if not problems and isinstance(default_params, Mapping):
        problems |= _default_problems(input_schema["fields"], default_params)
    return problems


def _field_problem(field: Any, seen: set[str]) -> str | Promise | None:
    if not isinstance(field, Mapping) or not _NAME.fullmatch(str(field.get("name", ""))):
        return _("Needs a `name` of letters, digits and underscores.")
    aliases = field.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(name, str) for name in aliases):
        return _("`aliases` must be a list of names.")
    names = [field["name"], *aliases]
    if seen & set(names):
        return _("Its name or an alias is used twice.")
    seen.update(names)
    if unknown := set(field) - _FIELD_KEYS:
        return _("Unknown keys: %(keys)s.") % {"keys": ", ".join(sorted(map(str, unknown)))}
    kind = field.get("type", "text")
    if kind not in inputs.FIELD_TYPES:
        return _("Unknown type.")
    if problem := _rule_problem(field, kind):
        return problem
    if kind != "image" and field.get("default") not in (None, ""):
        try:
            inputs.coerce(field, field["default"])
        except ValueError:
            return _("Its default does not fit its own rules.")
    return None


def _rule_problem(field: Mapping[str, Any], kind: str) -> str | Promise | None:
    for key in ("min", "max", "step", "max_items", "max_length"):
        value = field.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not is_number:
            return _("`%(key)s` must be a number.") % {"key": key}
    options = field.get("options")
    if options is not None and not isinstance(options, list):
        return _("`options` must be a list.")
    if any("value" not in option for option in options or [] if isinstance(option, Mapping)):
        return _("Each of the `options` needs a `value`.")
    if kind == "select" and not options:
        return _("A select field needs `options`.")
    return None


def _default_problems(fields: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]) -> dict[str, str | Promise]:
    problems: dict[str, str | Promise] = {}
    for field in fields:
        value = defaults.get(field["name"])
        if value in (None, "") or field.get("type") == "image":
            continue
        try:
            inputs.coerce(field, value)
        except ValueError as error:
            problems[f"default_params.{field['name']}"] = error.args[0]
    return problems
