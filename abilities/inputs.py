"""Checks what a caller gives against an ability's `inputSchema.fields`. Pure: no database, no network.

The fields are the one definition; `abilities.schema` derives the JSON Schema and OpenAPI from them, `abilities.forms`
the admin form, and this module the validation.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from podi.base.errors import InvalidInput

FIELD_TYPES = frozenset({"text", "textarea", "select", "switch", "number", "image"})
IMAGE_ALIASES = ("image_url", "imageUrl", "url", "image_base64", "imageBase64")
MAX_TEXT_CHARS = 20_000
MAX_NUMBER = 2**53
"""Beyond it numbers are no longer the same in every program on the way."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_TRUE = frozenset({"1", "true", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "no", "n", "off"})


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """One picture a caller gave: the field it belongs to and a URL, data URL or base64 text."""

    field: str
    value: str


@dataclass(frozen=True, kw_only=True)
class CheckedInputs:
    values: Mapping[str, Any]
    """Every parameter but the pictures, of the right type, defaults filled in."""
    images: tuple[ImageInput, ...] = ()
    unknown: tuple[str, ...] = ()
    """Names that the ability does not have: ignored, and told to the caller."""
    problems: Mapping[str, str | Promise] = field(default_factory=dict)


def check(
    *,
    fields: Sequence[Mapping[str, Any]],
    defaults: Mapping[str, Any],
    given: Mapping[str, Any],
    images: Sequence[str] = (),
) -> CheckedInputs:
    """Merge, coerce and check. `images` are the call's top-level pictures; they go to the first image field.

    Raises InvalidInput naming every wrong field at once.
    """
    given = {name: _tidy(value) for name, value in given.items()}
    given = {name: value for name, value in given.items() if value not in (None, "", [])}
    problems: dict[str, str | Promise] = {}
    values: dict[str, Any] = {name: value for name, value in defaults.items() if value not in (None, "", [])}
    pictures: list[ImageInput] = []
    used: set[str] = set()
    main_image = next((f["name"] for f in fields if f.get("type") == "image"), "")
    for definition in fields:
        name = definition["name"]
        found = _find(definition, given, used, is_main_image=name == main_image)
        if definition.get("type") == "image":
            values.pop(name, None)
            pictures += _check_images(definition, found, images if name == main_image else (), problems)
            continue
        value = found if found is not None else values.get(name, definition.get("default"))
        values.pop(name, None)
        if value in (None, ""):
            if definition.get("required"):
                problems[name] = _("This field is required.")
            continue
        try:
            values[name] = coerce(definition, value)
        except ValueError as error:
            problems[name] = error.args[0]
    if images and not main_image:
        problems["images"] = _("This ability takes no picture.")
    if problems:
        raise InvalidInput(fields=problems)
    unknown = tuple(sorted(set(given) - used))
    return CheckedInputs(values=values, images=tuple(pictures), unknown=unknown)


def coerce(definition: Mapping[str, Any], value: Any) -> Any:
    """One value in its field's type. ValueError carries the sentence for the caller."""
    kind = definition.get("type", "text")
    if kind == "number":
        return _coerce_number(definition, value)
    if kind == "switch":
        return _coerce_switch(value)
    if kind == "select":
        return _coerce_choice(definition, value)
    if definition.get("format") == "json" and isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)  # a document may come as it is or as its text
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(_("Send a text."))
    text = str(value)
    limit = int(definition.get("max_length") or MAX_TEXT_CHARS)
    if len(text) > limit:
        raise ValueError(_("At most %(limit)d characters.") % {"limit": limit})
    return text


def option_values(definition: Mapping[str, Any]) -> list[Any]:
    """The values of a select field; options are `{label, value}` or bare."""
    return [o["value"] if isinstance(o, Mapping) else o for o in definition.get("options") or []]


def _tidy(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _find(definition: Mapping[str, Any], given: Mapping[str, Any], used: set[str], *, is_main_image: bool) -> Any:
    names = [definition["name"], *definition.get("aliases", ())]
    if is_main_image:
        names += [alias for alias in IMAGE_ALIASES if alias not in names]
    present = [name for name in names if name in given]
    used.update(present)
    return given[present[0]] if present else None


def _check_images(
    definition: Mapping[str, Any], found: Any, extra: Sequence[str], problems: dict[str, str | Promise]
) -> list[ImageInput]:
    name = definition["name"]
    values = found if isinstance(found, list) else [found] if found is not None else []
    if definition.get("multiple"):
        values = [line.strip() for v in values for line in (v.splitlines() if isinstance(v, str) else [v])]
    values = [v for v in values if v not in ("", None)]
    values += [v for v in extra if v not in values]
    limit = int(definition.get("max_items") or 20) if definition.get("multiple") else 1
    if any(not isinstance(v, str) for v in values):
        problems[name] = _("Send a picture as a URL or as base64 text.")
    elif len(values) > limit:
        problems[name] = _("At most %(limit)d picture(s).") % {"limit": limit}
    elif not values and definition.get("required"):
        problems[name] = _("A picture is required.")
    else:
        return [ImageInput(field=name, value=v) for v in values]
    return []


def _coerce_number(definition: Mapping[str, Any], value: Any) -> int | float:
    number = _parse_number(value, unit=str(definition.get("unit") or ""))
    minimum, maximum = definition.get("min"), definition.get("max")
    if minimum is not None and number < minimum:
        raise ValueError(_("Must be at least %(minimum)s.") % {"minimum": minimum})
    if maximum is not None and number > maximum:
        raise ValueError(_("Must be at most %(maximum)s.") % {"maximum": maximum})
    return number


def _parse_number(value: Any, *, unit: str) -> int | float:
    if isinstance(value, bool):
        raise ValueError(_("Send a number."))
    if isinstance(value, str):
        text = value.strip()
        if unit and text.lower().endswith(unit.lower()):
            text = text[: -len(unit)].strip()
        if not _NUMBER.fullmatch(text) or len(text) > 64:
            raise ValueError(_("Send a plain number without a unit."))
        value = int(text) if text.lstrip("+-").isdigit() else float(text)
    if not isinstance(value, int | float) or abs(value) > MAX_NUMBER or not math.isfinite(value):
        raise ValueError(_("Send a number."))
    return int(value) if isinstance(value, int) or value.is_integer() else value


def _coerce_switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(_("Send true or false."))


def _coerce_choice(definition: Mapping[str, Any], value: Any) -> Any:
    for option in option_values(definition):
        if value == option or (not isinstance(value, bool) and str(value) == str(option)):
            return option
    allowed = ", ".join(str(option) for option in option_values(definition))
    raise ValueError(_("Must be one of: %(allowed)s.") % {"allowed": allowed})
