"""One transaction that happens whole or not at all, in the database and in the rows held in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from django.db import OperationalError, connection, models, transaction

Answer = TypeVar("Answer")

TRIES: Final = 4
PAUSE_S: Final = 0.02
_GAVE_WAY: Final = frozenset({1205, 1213})
"""MySQL: lock wait timeout, deadlock. Nothing was changed, and the same again usually succeeds."""


def whole(work: Callable[[], Answer], *rows: models.Model | None) -> Answer:
    """Run `work` in a transaction, or as a part of the caller's. What it did to `rows` is undone with it.

    Where the database gave way to another transaction it is run again; as a part it is not, the whole must be.
    """
    is_part = connection.in_atomic_block
    kept = [(row, dict(vars(row))) for row in rows if row is not None]
    for remaining in range(TRIES - 1, -1, -1):
        try:
            with transaction.atomic():
                return work()
        except BaseException as error:
            for row, before in kept:
                vars(row).clear()
                vars(row).update(before)
            if is_part or not remaining or not gave_way(error):
                raise
            time.sleep(PAUSE_S * (TRIES - remaining))
    raise AssertionError("unreachable")


def gave_way(error: BaseException) -> bool:
    """Whether the database ended this transaction in favour of another one."""
    return isinstance(error, OperationalError) and bool(error.args) and error.args[0] in _GAVE_WAY
