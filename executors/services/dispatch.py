"""Routing a task and giving it a place and a slot: glue between the rules (`routing`) and the caps (`pool.leases`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from executors.errors import (
    CommercialQueueFull,
    ExecutorBusy,
    ExecutorNotConfigured,
    NodeQueueFull,
    QueueFull,
)
from executors.models import Executor, Lease, RoutingCursor
from executors.pool import keys, leases
from executors.pool.leases import NO_LOAD, Load
from executors.registry import provider_class
from executors.routing import (
    Need,
    blocked_reason,
    effective_policy,
    find,
    is_on_trial,
    rank,
    share_of,
)

QUEUE_RETRY_AFTER_S = 5.0
TRIAL_S = 60.0
"""So long a half-open executor waits for the outcome of its one trial before it allows another."""
LEASE_GRACE_S = 60.0
_TRIES = 60


@dataclass(frozen=True, kw_only=True)
class Route:
    """Who may serve a need. `usable` is ordered by the policy; `explanation` is JSON for people."""

    candidates: tuple[Executor, ...] = ()
    """Best first; all that may serve it, also those that take nothing right now."""
    usable: tuple[Executor, ...] = ()
    """Of these, the healthy ones that are not paused and not draining."""
    policy: str = "auto"
    explanation: dict[str, Any] = field(default_factory=dict)
    queue_code: str = ""
    """Q1001 or Q2001 where the queue is counted."""
    cursor_key: str = ""
    """Names the round-robin cursor; empty for other policies."""


@dataclass(frozen=True, kw_only=True)
class QueuePlace:
    """`position` 0 means running, 1 next in line. `eta_s` is None when nobody said how long a task takes."""

    executor_id: str
    position: int
    ahead: int
    eta_s: float | None = None


def route(need: Need) -> Route:
    """Who may serve this, best first. Reads only: two to four queries. Raises the contract's code when nobody may.

    A kind that needs no executor gives an empty route unless one was named; then there is nothing to reserve or start.
    """
    cls = provider_class(need.provider)
    if not cls.needs_executor and not (need.asked_executor_id or need.bound_executor_id):
        return Route(policy="none", explanation={"source": "in_process", "candidates": [], "leftOut": []})
    now = timezone.now()
    found = find(need, cls)
    policy = effective_policy(need.policy, cls)
    loads = leases.loads_of(found.executors, leases.read_loads([row.pk for row in found.executors]))
    turn, cursor_key = 0, ""
    if policy == "round_robin" and len(found.executors) > 1:
        cursor_key = _cursor_key(need, found.executors)
        turn = RoutingCursor.objects.filter(pk=cursor_key).values_list("position", flat=True).first() or 0
    candidates = rank(found.executors, policy=policy, loads=loads, turn=turn)
    blocked = {row.pk: blocked_reason(row, now) for row in candidates}
    if cls.uses_api_keys and not keys.usable(need.provider, now).exists():
        for row in candidates:
            if not row.secrets.get("api_key"):
                blocked[row.pk] = blocked[row.pk] or "no_api_key"
    usable = _without_avoided([row for row in candidates if not blocked[row.pk]], need.avoided_executor_ids)
    explanation = {
        "source": found.source,
        "policy": policy,
        "candidates": [_explained(row, loads, blocked[row.pk], need) for row in candidates],
        "leftOut": [{"id": pk, "reason": reason} for pk, reason in found.left_out.items()],
    }
    return Route(
        candidates=candidates,
        usable=usable,
        policy=policy,
        explanation=explanation,
        queue_code=cls.queue_code,
        cursor_key=cursor_key,
    )


def avoid(need: Need, executor_ids: Sequence[str]) -> Need:
    """The same need, after these executors have failed for it."""
    return replace(need, avoided_executor_ids=tuple(executor_ids))


def reserve(route: Route, *, holder: str) -> Lease | None:
    """A place in a queue, at admission, inside the caller's transaction. Repeating it gives the same lease.

    Tries the candidates best first on fresh loads, so that callers at the same moment share the nodes evenly. While
    none is usable the place is taken on one that is not: the task waits for it. Raises QueueFull (Q1001 or Q2001) when
    all queues are full. None for an empty route.
    """
    options = route.usable or route.candidates
    if not options:
        return None
    if route.cursor_key:
        options = _in_turn(route, options)
    for _try in range(_TRIES):
        loads = leases.read_loads([row.pk for row in options])
        ordered = _fresh_order(route, options, loads)
        open_ = [row for row in ordered if leases.has_place(row, _load(loads, row), is_counted=bool(route.queue_code))]
        if not open_:
            if existing := _lease_of(holder):
                return existing
            raise _queue_full(route, ordered[0], _load(loads, ordered[0]))
        chosen = open_[0]
        if lease := leases.take_place(chosen, holder, _load(loads, chosen), is_counted=bool(route.queue_code)):
            return lease
        if existing := _lease_of(holder):
            return existing
    raise ExecutorBusy(retry_after_s=1.0)


def start(holder: str, route: Route) -> Lease | None:
    """Take a running slot on a usable candidate; None when no slot is free now.

    The executor the place was reserved on comes first; another one is chosen only when it has a slot that none of its
    own waiting tasks needs, and then the place moves too. A holder that has a slot already keeps it. Own transaction.
    """
    if not route.candidates:
        raise ExecutorNotConfigured("An empty route needs no slot: this kind runs without an executor.")
    is_counted = bool(route.queue_code)
    for _try in range(_TRIES):
        now = timezone.now()
        mine = _lease_of(holder)
        ids = [row.pk for row in route.usable]
        if mine and mine.slot is not None and mine.executor_id in ids:
            mine.executor = next(row for row in route.usable if row.pk == mine.executor_id)
            return mine
        loads = leases.read_loads(ids)
        chosen = _with_slot(route, mine, loads)
        if chosen is None or not _claim_trial(chosen, now):
            return None
        load = _load(loads, chosen)
        if mine is None:
            lease = leases.take_both(chosen, holder, load, is_counted=is_counted, now=now)
        else:
            lease = leases.take_slot(mine, chosen, load, is_counted=is_counted, now=now)
        if lease is not None:
            return lease
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
    mine = Lease.objects.select_related("executor").filter(holder=holder).first()
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


def _load(loads: Mapping[str, Load], executor: Executor) -> Load:
    return loads.get(executor.pk, NO_LOAD)


def _lease_of(holder: str) -> Lease | None:
    return Lease.objects.filter(holder=holder).first()


def _without_avoided(executors: Sequence[Executor], avoided: Sequence[str]) -> tuple[Executor, ...]:
    fresh = tuple(row for row in executors if row.pk not in avoided)
    return fresh or tuple(executors)


def _explained(row: Executor, loads: Mapping[str, int], blocked: str, need: Need) -> dict[str, Any]:
    load = loads.get(row.pk, 0)
    entry: dict[str, Any] = {"id": row.pk, "name": row.name, "load": load, "score": round(share_of(row, load), 4)}
    if blocked:
        entry["blocked"] = blocked
    if row.pk in need.avoided_executor_ids:
        entry["avoided"] = True
    return entry


def _fresh_order(route: Route, options: Sequence[Executor], loads: Mapping[str, Load]) -> Sequence[Executor]:
    """Loads may have changed since the route was made; the other policies do not look at them."""
    if route.policy not in ("auto", "queue") or len(options) == 1:
        return options
    return rank(options, policy=route.policy, loads=leases.loads_of(options, loads))


def _with_slot(route: Route, mine: Lease | None, loads: Mapping[str, Load]) -> Executor | None:
    ordered = list(_fresh_order(route, route.usable, loads))
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


def _cursor_key(need: Need, executors: Sequence[Executor]) -> str:
    text = "|".join([need.provider, need.ability_id or need.capability_key, *(row.pk for row in executors)])
    return hashlib.sha256(text.encode()).hexdigest()


def _in_turn(route: Route, options: Sequence[Executor]) -> tuple[Executor, ...]:
    """Move the cursor on by one and start there. Every process sees the same cursor."""
    with transaction.atomic():
        if not RoutingCursor.objects.filter(pk=route.cursor_key).update(position=F("position") + 1):
            RoutingCursor.objects.bulk_create([RoutingCursor(pk=route.cursor_key)], ignore_conflicts=True)
            RoutingCursor.objects.filter(pk=route.cursor_key).update(position=F("position") + 1)
        turn = RoutingCursor.objects.values_list("position", flat=True).get(pk=route.cursor_key) - 1
    in_id_order = sorted(options, key=lambda row: row.pk)
    return rank(in_id_order, policy="round_robin", loads={}, turn=turn)
