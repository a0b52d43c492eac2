"""Reads the parameters of a tool: numbers, choices and colours, with their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import ImageColor

from executors.providers.imaging.problems import invalid

Colour = tuple[int, int, int]


class Parameters:
    """What the caller chose. Missing and empty values become the tool's default; a wrong value is never bent to fit."""

    def __init__(self, values: Mapping[str, Any], *, cmyk_profile: str = "") -> None:
        self._values = values
        self.cmyk_profile = cmyk_profile
        """Path of the operator's CMYK profile; never the caller's to choose."""

    def number(
        self,
        name: str,
        *,
        default: float | None = None,
        minimum: float,
        maximum: float = math.inf,
        aliases: Sequence[str] = (),
        unit: str = "",
    ) -> float:
        """A number, given as one or as text, with `unit` behind it if it likes."""
        value = self._first(name, aliases)
        if value is None:
            if default is None:
                raise invalid(name, "a number is required")
            return _tidy(default)
        number = _parse_number(name, value, unit)
        if number < minimum:
            raise invalid(name, f"must be at least {minimum:g}")
        if number > maximum:
            raise invalid(name, f"must be at most {maximum:g}")
        return _tidy(number)

    def whole(self, name: str, **limits: Any) -> int:
        """A number without a fraction."""
        number = self.number(name, **limits)
        if number != int(number):
            raise invalid(name, "must be a whole number")
        return int(number)

    def optional_number(self, name: str, *, minimum: float, maximum: float = math.inf, unit: str = "") -> float | None:
        if self._first(name) is None:
            return None
        return self.number(name, minimum=minimum, maximum=maximum, unit=unit)

    def choice(self, name: str, options: Sequence[str], *, default: str) -> str:
        value = self._first(name)
        if value is None:
            return default
        text = str(value).strip().lower()
        if text not in options:
            raise invalid(name, f"must be one of {', '.join(options)}")
        return text

    def switch(self, name: str, *, default: bool) -> bool:
        value = self._first(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        text = str(value).strip().lower()
        if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
            raise invalid(name, "must be true or false")
        return text in ("1", "true", "yes", "on")

    def text(self, name: str, *, default: str) -> str:
        value = self._first(name)
        return default if value is None else str(value).strip()

    def colour(self, name: str, *, default: str) -> Colour:
        """`#RRGGBB`, `#RGB`, `rgb(r, g, b)` or an English colour name."""
        return parse_colour(name, self.text(name, default=default))

    def _first(self, name: str, aliases: Sequence[str] = ()) -> Any:
        for key in (name, *aliases):
            value = self._values.get(key)
            if value is not None and str(value).strip() != "":
                return value
        return None


def parse_colour(name: str, text: str) -> Colour:
    try:
        found = ImageColor.getrgb(text)
    except ValueError:
        raise invalid(name, "must be a colour such as #FFFFFF") from None
    return found[0], found[1], found[2]


def _tidy(number: float) -> float:
    """300.0 is told as 300, however it was written."""
    return int(number) if number == int(number) else number


def _parse_number(name: str, value: Any, unit: str) -> float:
    if isinstance(value, bool):
        raise invalid(name, "must be a number")
    text = str(value).strip().lower()
    if unit:
        text = text.removesuffix(unit).strip()
    try:
        number = float(text)
    except ValueError:
        raise invalid(name, "must be a number") from None
    if not math.isfinite(number):
        raise invalid(name, "must be a number")
    return number
