"""What a call costs: the price the ability's metadata states, and the amount that follows from what was delivered.

`metadata.pricing` = {currency, unit, list_price, discount_price, points}. Unit price = discount, else list. Cost is
counted on the outcome (R14): unit price times what was delivered, nothing for a failed call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MAX_PRICE = 1_000_000
_PLACES = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one unit costs. `points` per unit; `unit` such as per_image or per_call."""

    unit: str = ""
    unit_price: Decimal | None = None
    currency: str = ""
    points: int = 0


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What a call is expected to cost at most."""

    price: Price
    quantity: int
    points: int

    @property
    def amount(self) -> Decimal | None:
        return amount(self.price, Decimal(self.quantity))


def price_of(metadata: Mapping[str, Any]) -> Price:
    raw = metadata.get("pricing")
    if not isinstance(raw, Mapping):
        return Price()
    unit_price = _decimal(raw.get("discount_price"))
    if unit_price is None:
        unit_price = _decimal(raw.get("list_price"))
    return Price(
        unit=str(raw.get("unit") or "per_call"),
        unit_price=unit_price,
        currency=str(raw.get("currency") or "CNY"),
        points=max(0, int(raw.get("points") or 0)),
    )


def problems_of(metadata: Mapping[str, Any]) -> dict[str, str | Promise]:
    """What is wrong with `metadata.pricing`, by place. Empty when calls can be priced by it."""
    raw = metadata.get("pricing")
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        return {"metadata.pricing": _("Must be an object.")}
    problems: dict[str, str | Promise] = {}
    for name in ("list_price", "discount_price"):
        given = raw.get(name)
        if given not in (None, "") and ((price := _decimal(given)) is None or not 0 <= price < MAX_PRICE):
            problems[f"metadata.pricing.{name}"] = _("Must be a number, 0 or more.")
    points = raw.get("points")
    if points is not None and (isinstance(points, bool) or not isinstance(points, int) or not 0 <= points < MAX_PRICE):
        problems["metadata.pricing.points"] = _("Must be a whole number, 0 or more.")
    return problems


def quote(metadata: Mapping[str, Any], *, expected_outputs: int) -> Quote:
    price = price_of(metadata)
    quantity = max(1, expected_outputs) if price.unit == "per_image" else 1
    return Quote(price=price, quantity=quantity, points=price.points * quantity)


def delivered_quantity(price: Price, *, outputs: int) -> int:
    """How many units a finished call delivered."""
    return outputs if price.unit == "per_image" else 1


def amount(price: Price, quantity: Decimal) -> Decimal | None:
    if price.unit_price is None:
        return None
    return (price.unit_price * quantity).quantize(_PLACES, rounding=ROUND_HALF_UP)


def _decimal(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
