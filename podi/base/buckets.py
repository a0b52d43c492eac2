"""Rate limits across processes: a leaky bucket (GCRA) in one database row, moved by one conditional update."""

from __future__ import annotations

import time

from django.db.models import F, Value
from django.db.models.functions import Greatest

from podi.base.models import RateBucket

_US = 1_000_000


def take(key: str, *, capacity: int, refill_s: float) -> float:
    """Pour one call into the bucket. Returns 0 when it fits, else the seconds until the next one would.

    A bucket holds `capacity` calls and leaks one each `refill_s` seconds. One query while it fits, two when it
    does not; a first use of a key costs more. Never blocks.
    """
    now_us = int(time.time() * _US)
    drop_us = max(int(refill_s * _US), 1)
    newest_us = now_us + (max(capacity, 1) - 1) * drop_us
    if _pour(key, now_us=now_us, drop_us=drop_us, newest_us=newest_us):
        return 0
    if not RateBucket.objects.filter(key=key).exists():
        RateBucket.objects.bulk_create([RateBucket(key=key)], ignore_conflicts=True)
        if _pour(key, now_us=now_us, drop_us=drop_us, newest_us=newest_us):
            return 0
    empty_at_us = RateBucket.objects.filter(key=key).values_list("empty_at_us", flat=True).first() or now_us
    return max(empty_at_us - newest_us, 1) / _US


def _pour(key: str, *, now_us: int, drop_us: int, newest_us: int) -> bool:
    """One statement decides and writes: two processes can not both take the last place."""
    fitting = RateBucket.objects.filter(key=key, empty_at_us__lte=newest_us)
    return bool(fitting.update(empty_at_us=Greatest(F("empty_at_us"), Value(now_us)) + drop_us))


def give_back(key: str, *, refill_s: float) -> None:
    """Take one call out again (it turned out not to count)."""
    RateBucket.objects.filter(key=key).update(empty_at_us=F("empty_at_us") - int(refill_s * _US))


def empty(key: str) -> None:
    RateBucket.objects.filter(key=key).delete()


def sweep_buckets() -> int:
    """Delete rows that say nothing any more: an empty bucket and a missing one behave the same."""
    return RateBucket.objects.filter(empty_at_us__lt=int(time.time() * _US)).delete()[0]
