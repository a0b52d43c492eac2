"""What a picture of an action costs in points, for the price question before a task is sent."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.utils.module_loading import import_string


def quote(action: str) -> int:
    """Points for one picture: WALLET_POINTS_QUOTE if it is set and knows the action, else WALLET_POINTS_PER_IMAGE.

    The quote is a dotted name in the settings, because prices belong to abilities, which the wallet may not import.
    """
    if settings.WALLET_POINTS_QUOTE:
        ask: Callable[[str], int | None] = import_string(settings.WALLET_POINTS_QUOTE)
        price = ask(action)
        if price is not None:
            return price
    fallback: int = settings.WALLET_POINTS_PER_IMAGE
    return fallback
