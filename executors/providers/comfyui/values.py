"""Turns what a caller gave into what a node's input takes. No guessing: what does not fit is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from executors.providers.base import ProviderRejected

_TRUE = frozenset({"1", "true", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "no", "n", "off"})


def convert_value(field: str, value: Any, value_type: str) -> Any:
    """The value as `value_type` (int, float, number, bool, json, text). Raises ProviderRejected naming the field."""
    convert = _CONVERTERS.get(value_type)
    if convert is None:
        raise ProviderRejected(
            f"The workflow's input map gives {field} the unknown type {value_type!r}.", code="COMFYUI_SUBMIT_ERROR"
        )
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _refuse(field, f"{field} is not a valid {value_type}.") from error


def choose_value(field: str, value: Any, choices: Mapping[str, Any]) -> Any:
    """The node's value for one of the named choices of a field."""
    try:
        return choices[str(value)]
    except KeyError as error:
        known = ", ".join(choices)
        raise _refuse(field, f"{field} must be one of: {known}.") from error


def floor_to_multiple(number: int | float, *, multiple_of: int) -> int:
    """The number floored to a multiple; never below one multiple, since no node takes a picture of no size."""
    return max(multiple_of, int(number) // multiple_of * multiple_of)


def _refuse(field: str, message: str) -> ProviderRejected:
    return ProviderRejected(message, code="COMFYUI_SUBMIT_ERROR", fields={field: message})


def _to_number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("a switch is not a number")
    if isinstance(value, str):
        value = value.strip().lower().removesuffix("px").strip()
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _to_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            # Past 2**53 a float loses digits, and seeds go to 2**64.
            return int(value.strip().lower().removesuffix("px").strip())
        except ValueError:
            pass
    return int(_to_number(value))


def _to_float(value: Any) -> int | float:
    number = _to_number(value)
    return int(number) if number.is_integer() and isinstance(value, int) else number


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("neither yes nor no")


def _to_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _to_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise TypeError("not a text")
    return str(value)


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "integer": _to_int,
    "float": _to_float,
    "number": _to_float,
    "bool": _to_bool,
    "boolean": _to_bool,
    "json": _to_json,
    "text": _to_text,
    "string": _to_text,
    "url": _to_text,
}
