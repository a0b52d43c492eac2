"""Places in an executor's queue and its running slots. The unique constraints of `Lease` are the caps.

Every function here either changes one row or none, so a death between two of them leaves nothing half done. The caller
holds the turn of the executor's kind (`wait_for_turn`), so two takers of one number meet only by a mistake; then the
constraint raises IntegrityError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import F

from executors.models import Executor, Lease, RoutingCursor

_CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Load:
    """Leases on one executor: all, those that run, and the highest numbers in use."""

    held: int = 0
    running: int = 0
    top_place: int = 0
    top_slot: int = 0

    @property
    def waiting(self) -> int:
        return self.held - self.running


NO_LOAD = Load()
_LOADS_SQL = (
    "SELECT executor_id, COUNT(id), COUNT(slot), MAX(place), MAX(slot) "
    "FROM executor_leases WHERE executor_id IN ({marks}) GROUP BY executor_id"
)


def read_loads(executor_ids: Sequence[str]) -> dict[str, Load]:
    """One query. An executor without leases is missing from the answer.

    Plain SQL: every admission and every start asks this while others wait, and putting the query together took longer
    than running it.
    """
    if not executor_ids:
        return {}
    marks = ", ".join(["%s"] * len(executor_ids))
    with connection.cursor() as cursor:
        cursor.execute(_LOADS_SQL.format(marks=marks), list(executor_ids))
        return {
            executor_id: Load(held=held, running=running, top_place=top_place or 0, top_slot=top_slot or 0)
            for executor_id, held, running, top_place, top_slot in cursor.fetchall()
        }


def queue_limit_of(executor: Executor) -> int:
    """How many tasks may wait and run there. The default never undercuts what may run at once."""
    return executor.queue_limit or max(settings.QUEUE_LIMIT, executor.max_concurrency)


def has_place(executor: Executor, load: Load, *, is_counted: bool) -> bool:
    """Work of others that the last probe saw counts against the limit too."""
    return not is_counted or load.held + executor.foreign_load < queue_limit_of(executor)


def has_slot(executor: Executor, load: Load) -> bool:
    return load.running < executor.max_concurrency


def wait_for_turn(kind: str) -> None:
    """Be the only one who takes places or slots of this kind, until the transaction ends. One statement."""
    if not move_cursor(_turn_key(kind)):
        make_turn(kind)
        move_cursor(_turn_key(kind))


def make_turn(kind: str) -> None:
    """Prepare the row at which admissions of a kind queue up. Repeating it does no harm."""
    RoutingCursor.objects.bulk_create([RoutingCursor(pk=_turn_key(kind))], ignore_conflicts=True)


def move_cursor(key: str) -> bool:
    """One step on. False when there is no such cursor yet."""
    return bool(RoutingCursor.objects.filter(pk=key).update(position=F("position") + 1))


def take_place(executor: Executor, holder: str, load: Load, *, is_counted: bool) -> Lease | None:
    """Insert a lease without a slot. None when there is no number left. Raises IntegrityError."""
    return _insert(executor, holder, load, is_counted=is_counted, slot=None, now=None)


def take_both(executor: Executor, holder: str, load: Load, *, is_counted: bool, now: datetime) -> Lease | None:
    """Insert a lease with a slot, for a holder that has no place yet. As `take_place`."""
    slot = _free_number(executor, "slot", load.top_slot, executor.max_concurrency)
    if slot is None:
        return None
    return _insert(executor, holder, load, is_counted=is_counted, slot=slot, now=now)


def take_slot(lease: Lease, executor: Executor, load: Load, *, is_counted: bool, now: datetime) -> Lease | None:
    """Give this lease a slot on this executor, moving its place there if it lies elsewhere. As `take_place`.

    None also when the lease changed in the meantime.
    """
    slot = _free_number(executor, "slot", load.top_slot, executor.max_concurrency)
    if slot is None:
        return None
    changes: dict[str, object] = {"slot": slot, "started_at": now}
    if lease.executor_id != executor.pk:
        place = _free_place(executor, load, is_counted=is_counted)
        if is_counted and place is None:
            return None
        changes |= {"executor_id": executor.pk, "place": place}
    unchanged = Lease.objects.filter(pk=lease.pk, executor_id=lease.executor_id, slot=lease.slot)
    if not unchanged.update(**changes):
        return None
    lease.executor, lease.slot, lease.started_at = executor, slot, now
    lease.place = changes.get("place", lease.place)  # type: ignore[assignment]
    return lease


def park(holder: str) -> bool:
    """Give the slot back and keep the place. False when there was none to give."""
    return bool(Lease.objects.filter(holder=holder, slot__isnull=False).update(slot=None, started_at=None))


def free(holder: str) -> bool:
    """Give everything back. Repeating it does no harm."""
    return bool(Lease.objects.filter(holder=holder).delete()[0])


def sweep(live_holders: Callable[[Sequence[str]], set[str]], *, older_than: datetime) -> int:
    """Delete leases whose holder the caller no longer counts as alive. Returns how many."""
    freed = 0
    for holders in _holders_before(older_than):
        alive = live_holders(holders)
        dead = [holder for holder in holders if holder not in alive]
        if dead:
            freed += Lease.objects.filter(holder__in=dead).delete()[0]
    return freed


def _holders_before(older_than: datetime) -> Iterator[list[str]]:
    last = 0
    while True:
        rows = list(
            Lease.objects.filter(pk__gt=last, taken_at__lt=older_than)
            .order_by("pk")
            .values_list("pk", "holder")[:_CHUNK]
        )
        if not rows:
            return
        yield [holder for _pk, holder in rows]
        last = rows[-1][0]


def _insert(
    executor: Executor, holder: str, load: Load, *, is_counted: bool, slot: int | None, now: datetime | None
) -> Lease | None:
    place = _free_place(executor, load, is_counted=is_counted)
    if is_counted and place is None:
        return None
    return Lease.objects.create(executor=executor, holder=holder, place=place, slot=slot, started_at=now)


def _free_place(executor: Executor, load: Load, *, is_counted: bool) -> int | None:
    if not is_counted:
        return None
    return _free_number(executor, "place", load.top_place, queue_limit_of(executor))


def _free_number(executor: Executor, column: str, top: int, limit: int) -> int | None:
    """The next number, or the smallest hole once the numbers have been used up to the limit."""
    if top < limit:
        return top + 1
    taken = set(Lease.objects.filter(executor=executor, **{f"{column}__isnull": False}).values_list(column, flat=True))
    return next((number for number in range(1, limit + 1) if number not in taken), None)


def _turn_key(kind: str) -> str:
    return f"turn:{kind}"


def loads_of(executors: Sequence[Executor], loads: Mapping[str, Load]) -> dict[str, int]:
    """Reserved and observed work, by executor id."""
    return {row.pk: loads.get(row.pk, NO_LOAD).held + row.foreign_load for row in executors}
