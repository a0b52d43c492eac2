"""Gives committed events their place in the stream. See `docs/events.md` for why ids cannot serve as that.

Numbers only grow, and a number appears together with all smaller ones; they need not be dense.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, Max

from podi.events.models import Event, EventCounter

COUNTER_ID = 1


def sequence_committed(limit: int = 500) -> int:
    """Number up to `limit` committed events that have no number yet, oldest id first; how many it were.

    Opens its own transaction (call it outside one). Any number of processes may call it at any time: taking the
    counter's row serialises them. Rows that are not committed yet are invisible here and get a later, larger number.
    """
    if not Event.objects.filter(sequence=None).exists():
        return 0
    if not EventCounter.objects.filter(id=COUNTER_ID).exists():
        _create_counter()
    with transaction.atomic(durable=True):
        last = _take_counter()
        # Read only now, behind the counter's row: what an earlier sequencer numbered is seen as numbered.
        ids = list(Event.objects.filter(sequence=None).order_by("id").values_list("id", flat=True)[:limit])
        if not ids:
            return 0
        offset = last + 1 - ids[0]
        Event.objects.filter(id__in=ids).update(sequence=F("id") + offset)
        EventCounter.objects.filter(id=COUNTER_ID).update(value=ids[-1] + offset)
    return len(ids)


def last_sequence() -> int:
    """The largest number given out and committed: everything up to it can be read."""
    return EventCounter.objects.filter(id=COUNTER_ID).values_list("value", flat=True).first() or 0


def swept_through() -> int:
    """Up to this number events may have been removed by retention."""
    return EventCounter.objects.filter(id=COUNTER_ID).values_list("swept_through", flat=True).first() or 0


def read_after(
    sequence: int, *, through: int | None = None, owner_id: str | None, limit: int, topics: Sequence[str] = ()
) -> list[Event]:
    """Events that follow, in their order: those of one owner, or everybody's when `owner_id` is None."""
    events = Event.objects.filter(sequence__gt=sequence)
    if through is not None:
        events = events.filter(sequence__lte=through)
    if owner_id is not None:
        events = events.filter(owner_id=owner_id)
    if topics:
        events = events.filter(topic__in=topics)
    return list(events.order_by("sequence")[:limit])


def mark_swept(sequence: int) -> None:
    """Remember that events up to this number are gone."""
    EventCounter.objects.filter(id=COUNTER_ID, swept_through__lt=sequence).update(swept_through=sequence)


def _create_counter() -> None:
    """In a transaction of its own: two that first insert the row and then take it would wait for each other."""
    last = Event.objects.aggregate(last=Max("sequence"))["last"] or 0
    EventCounter.objects.bulk_create([EventCounter(id=COUNTER_ID, value=last)], ignore_conflicts=True)


def _take_counter() -> int:
    """Hold the counter's row until the transaction ends; its value."""
    EventCounter.objects.filter(id=COUNTER_ID).update(value=F("value"))
    return EventCounter.objects.values_list("value", flat=True).get(id=COUNTER_ID)
