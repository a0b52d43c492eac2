"""A task's place in a queue and its running slot: the one admission for every door and every process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from executors.errors import CommercialQueueFull, ExecutorBusy, ExecutorNotConfigured, NodeQueueFull, QueueFull
from executors.models import Executor, Lease, RoutingCursor
from executors.pool import leases
from executors.pool.leases import NO_LOAD, Load
from executors.routing import is_on_trial, rank
from executors.services.routes import Route

QUEUE_RETRY_AFTER_S = 5.0
TRIAL_S = 60.0
"""So long a half-open executor waits for the outcome of its one trial before it allows another."""
LEASE_GRACE_S = 60.0
_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class QueuePlace:
    """`position` 0 means running, 1 next in line. `eta_s` is None when nobody said how long a task takes."""

    executor_id: str
    position: int
    ahead: int
    eta_s: float | None = None


def reserve(route: Route, *, holder: str) -> Lease | None:
    """A place in a queue, at admission, inside the caller's transaction. Repeating it gives the same lease.

    Tries the candidates best first on fresh loads, so that callers at the same moment share the nodes evenly. While
    none is usable the place is taken on one that is not: the task waits for it. Raises QueueFull (Q1001 or Q2001) when
    all queues are full. None for an empty route. From here to the end of the caller's transaction other admissions of
    this kind wait, so call it as late as possible.
    """
    options = route.usable or route.candidates
    if not options:
        return None
    for _try in range(_TRIES):
        try:
            with transaction.atomic():
                return _admit(route, options, holder)
        except IntegrityError:
            if existing := _lease_of(holder):
                return existing
    raise ExecutorBusy(retry_after_s=1.0)


def start(holder: str, route: Route) -> Lease | None:
    """Take a running slot on a usable candidate; None when no slot is free now.

    The executor the place was reserved on comes first; another one is chosen only when it has a slot that none of its
    own waiting tasks needs, and then the place moves too. A holder that has a slot already keeps it. Works inside the
    caller's transaction or in one of its own; a caller with a transaction looks at `route.has_free_slot` before it.
    """
    if not route.candidates:
        raise ExecutorNotConfigured("An empty route needs no slot: this kind runs without an executor.")
    if not route.usable:
        return None
    is_part = transaction.get_connection().in_atomic_block
    for _try in range(_TRIES):
        mine = _lease_of(holder)
        if mine is not None and (kept := _kept_slot(route, mine)):
            return kept
        if not is_part and _with_slot(route, route.usable, mine, _read_loads(route.usable)) is None:
            return None
        try:
            with transaction.atomic():
                return _take_slot(route, mine, holder)
        except (IntegrityError, _Changed):
            continue
    return None


def park(holder: str) -> None:
    """Give the slot back and keep the place: the task waits again."""
    leases.park(holder)


def free(holder: str) -> None:
    """Give place and slot back. Idempotent; belongs into the transaction that ends the task."""
    leases.free(holder)


def position(holder: str, *, typical_s: float | None = None) -> QueuePlace | None:
    """Where a holder stands on its executor; None without a lease. `typical_s` is how long such a task runs.

    Two queries.
    """
    lease = Lease.objects.select_related("executor").filter(holder=holder)
    mine = lease.only("executor_id", "slot", "executor__max_concurrency").first()
    if mine is None:
        return None
    if mine.slot is not None:
        return QueuePlace(executor_id=mine.executor_id, position=0, ahead=0, eta_s=0.0)
    ahead = Lease.objects.filter(executor_id=mine.executor_id, slot__isnull=True, pk__lt=mine.pk).count()
    eta_s = None
    if typical_s is not None:
        eta_s = round((ahead + 1) * typical_s / max(1, mine.executor.max_concurrency), 1)
    return QueuePlace(executor_id=mine.executor_id, position=ahead + 1, ahead=ahead, eta_s=eta_s)


def sweep_leases(live_holders: Callable[[Sequence[str]], set[str]]) -> int:
    """Free leases whose holder is no longer queued or running. The caller tells which of some holders still are.

    Young leases are left alone. Returns how many were freed.
    """
    return leases.sweep(live_holders, older_than=timezone.now() - timedelta(seconds=LEASE_GRACE_S))


class _Changed(Exception):
    """The lease was changed by somebody else: rolls back and looks again."""


def _admit(route: Route, options: Sequence[Executor], holder: str) -> Lease:
    leases.wait_for_turn(options[0].type)
    if route.cursor_key:
        options = _in_turn(route, options)
    loads = _read_loads(options)
    ordered = _fresh_order(route, options, loads)
    is_counted = bool(route.queue_code)
    for executor in ordered:
        load = _load(loads, executor)
        if leases.has_place(executor, load, is_counted=is_counted):
            lease = leases.take_place(executor, holder, load, is_counted=is_counted)
            if lease is not None:
                return lease
    if existing := _lease_of(holder):
        return existing
    raise _queue_full(route, ordered[0], _load(loads, ordered[0]))


def _take_slot(route: Route, mine: Lease | None, holder: str) -> Lease | None:
    now = timezone.now()
    leases.wait_for_turn(route.usable[0].type)
    loads = _read_loads(route.usable)
    usable = list(route.usable)
    while (chosen := _with_slot(route, usable, mine, loads)) and not _claim_trial(chosen, now):
        usable.remove(chosen)
    if chosen is None:
        return None
    load, is_counted = _load(loads, chosen), bool(route.queue_code)
    if mine is None:
        return leases.take_both(chosen, holder, load, is_counted=is_counted, now=now)
    lease = leases.take_slot(mine, chosen, load, is_counted=is_counted, now=now)
    if lease is None:
        raise _Changed
    return lease


def _kept_slot(route: Route, mine: Lease) -> Lease | None:
    """The slot it has already, as long as its executor still serves."""
    own = next((row for row in route.usable if row.pk == mine.executor_id), None)
    if mine.slot is None or own is None:
        return None
    mine.executor = own
    return mine


def _read_loads(executors: Sequence[Executor]) -> dict[str, Load]:
    return leases.read_loads([row.pk for row in executors])


def _load(loads: Mapping[str, Load], executor: Executor) -> Load:
    return loads.get(executor.pk, NO_LOAD)


def _lease_of(holder: str) -> Lease | None:
    return Lease.objects.filter(holder=holder).first()


def _fresh_order(route: Route, options: Sequence[Executor], loads: Mapping[str, Load]) -> Sequence[Executor]:
    """Loads may have changed since the route was made; the other policies do not look at them."""
    if route.policy not in ("auto", "queue") or len(options) < 2:
        return options
    return rank(options, policy=route.policy, loads=leases.loads_of(options, loads))


def _with_slot(
    route: Route, usable: Sequence[Executor], mine: Lease | None, loads: Mapping[str, Load]
) -> Executor | None:
    """Its own executor when that has a slot, else the best one with a slot that none of its own waiting tasks needs."""
    ordered = _fresh_order(route, usable, loads)
    own = next((row for row in ordered if mine and row.pk == mine.executor_id), None)
    if own is not None and leases.has_slot(own, _load(loads, own)):
        return own
    for row in ordered:
        load = _load(loads, row)
        is_spare = row.max_concurrency - load.running > load.waiting
        if row is not own and is_spare and leases.has_place(row, load, is_counted=bool(route.queue_code)):
            return row
    return None


def _claim_trial(executor: Executor, now: datetime) -> bool:
    """A half-open executor is tried by one task: whoever moves its pause on first."""
    if not is_on_trial(executor):
        return True
    until = now + timedelta(seconds=TRIAL_S)
    if not Executor.objects.filter(pk=executor.pk, paused_until=executor.paused_until).update(paused_until=until):
        return False
    executor.paused_until = until
    return True


def _queue_full(route: Route, executor: Executor, load: Load) -> QueueFull:
    cls = NodeQueueFull if route.queue_code == NodeQueueFull.code else CommercialQueueFull
    limit = leases.queue_limit_of(executor)
    current = min(limit, load.held + executor.foreign_load)
    return cls(limit=limit, current=current, executor_id=executor.pk, retry_after_s=QUEUE_RETRY_AFTER_S)


def _in_turn(route: Route, options: Sequence[Executor]) -> tuple[Executor, ...]:
    """Move the cursor on by one and start there. Every process sees the same cursor."""
    if not leases.move_cursor(route.cursor_key):
        RoutingCursor.objects.bulk_create([RoutingCursor(pk=route.cursor_key)], ignore_conflicts=True)
        leases.move_cursor(route.cursor_key)
    turn = RoutingCursor.objects.values_list("position", flat=True).get(pk=route.cursor_key) - 1
    in_id_order = sorted(options, key=lambda row: row.pk)
    return rank(in_id_order, policy="round_robin", loads={}, turn=turn)
