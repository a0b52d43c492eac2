"""Keeps the claims of this process alive while it works on them.

One thread for the process extends all held claims together, so a call that is quicker than a quarter of the claim costs
no query at all. A process that dies stops extending; after `TASK_CLAIM_S` another one takes over.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import Error, connection
from django.utils import timezone

from abilities.models import Invocation

logger = logging.getLogger(__name__)

_held: Counter[int] = Counter()
_lock = threading.Lock()
_changed = threading.Condition(_lock)
_thread: threading.Thread | None = None


@contextmanager
def holding(invocation_id: int) -> Iterator[None]:
    """While inside, this process answers for the invocation."""
    global _thread
    with _changed:
        _held[invocation_id] += 1
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_extend_for_ever, name="claim-heartbeat", daemon=True)
            _thread.start()
        _changed.notify_all()
    try:
        yield
    finally:
        with _changed:
            _held[invocation_id] -= 1
            if _held[invocation_id] <= 0:
                del _held[invocation_id]


def _extend_for_ever() -> None:
    pause_s = settings.TASK_CLAIM_S / 4
    stop = threading.Event()
    while True:
        with _changed:
            while not _held:
                _changed.wait()
        stop.wait(pause_s)
        with _lock:
            ids = list(_held)
        if ids:
            _extend(ids)


def _extend(ids: list[int]) -> None:
    try:
        Invocation.objects.filter(pk__in=ids).exclude(step=Invocation.Step.CLOSED).update(
            claimed_until=timezone.now() + timedelta(seconds=settings.TASK_CLAIM_S)
        )
    except Error:
        # The database is away for a moment: the next beat tries again, and the claim outlives three missed ones.
        logger.warning("could not extend the claims of %d invocations", len(ids), exc_info=True)
    finally:
        connection.close()
