"""The stream's numbers: only committed rows get one, and none appears behind one already read."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from podi.events import sequencer, services
from podi.events.models import Event, EventCounter
from tests.events.facts import fact, record

pytestmark = pytest.mark.django_db(transaction=True)

needs_concurrent_writers = pytest.mark.skipif(
    "connection.vendor == 'sqlite'",
    reason="SQLite has one writer at a time: an earlier insert is always committed earlier",
)


def in_thread(work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def sequences() -> list[int | None]:
    return list(Event.objects.order_by("id").values_list("sequence", flat=True))


def test_committed_events_get_growing_numbers() -> None:
    for _ in range(3):
        record()
    assert sequences() == [None, None, None]
    assert sequencer.sequence_committed() == 3
    record()
    assert sequencer.sequence_committed() == 1
    assert sequencer.sequence_committed() == 0
    assert sequences() == [1, 2, 3, 4]
    assert sequencer.last_sequence() == 4


def test_a_batch_is_bounded_and_the_oldest_come_first() -> None:
    for _ in range(5):
        record()
    assert sequencer.sequence_committed(2) == 2
    assert sequences() == [1, 2, None, None, None]


def test_numbers_go_on_after_the_newest_events_were_removed() -> None:
    record()
    sequencer.sequence_committed()
    Event.objects.all().delete()
    record()
    sequencer.sequence_committed()
    [number] = sequences()
    assert number is not None
    assert number > 1


def test_a_lost_counter_row_starts_again_behind_the_last_number() -> None:
    record()
    sequencer.sequence_committed()
    EventCounter.objects.all().delete()
    record()
    sequencer.sequence_committed()
    assert sequences() == [1, 2]


@needs_concurrent_writers
def test_an_event_inserted_earlier_and_committed_later_is_not_stepped_over() -> None:
    is_inserted, may_commit = threading.Event(), threading.Event()

    def slow_writer() -> None:
        with transaction.atomic():
            services.record(fact(n="early"))
            is_inserted.set()
            may_commit.wait(10)

    thread = in_thread(slow_writer)
    assert is_inserted.wait(10)
    late = record(n="late")
    assert sequencer.sequence_committed() == 1
    [seen] = sequencer.read_after(0, owner_id=None, limit=10)
    assert seen.pk == late.pk
    may_commit.set()
    thread.join()

    early = Event.objects.exclude(pk=late.pk).get()
    assert early.pk < late.pk  # by its id a reader that stands at `late` would have stepped over it
    sequencer.sequence_committed()
    assert [event.pk for event in sequencer.read_after(seen.sequence or 0, owner_id=None, limit=10)] == [early.pk]


def test_readers_see_every_event_once_and_in_order_while_many_write_and_many_number() -> None:
    writers, each = 4, 15
    done = threading.Event()
    read: list[int] = []
    problems: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as problem:
                problems.append(problem)

        return run

    def write() -> None:
        for _ in range(each):
            record()

    def number() -> None:
        while not done.is_set():
            sequencer.sequence_committed(7)

    def read_on() -> None:
        cursor = 0
        while not done.is_set() or sequencer.read_after(cursor, owner_id=None, limit=1):
            for event in sequencer.read_after(cursor, owner_id=None, limit=5):
                read.append(event.pk)
                cursor = event.sequence or 0

    others = [in_thread(guarded(work)) for work in (number, number, read_on)]
    writing = [in_thread(guarded(write)) for _ in range(writers)]
    for thread in writing:
        thread.join()
    while sequencer.sequence_committed():
        pass
    done.set()
    for thread in others:
        thread.join()
    assert problems == []
    assert len(read) == len(set(read)) == writers * each
