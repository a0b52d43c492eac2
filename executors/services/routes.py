"""The route of a task: who may serve it and in which order, with the reasons. Reads, takes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils import timezone

from executors.errors import ExecutorNotConfigured, provider_not_configured
from executors.models import Executor, RoutingCursor
from executors.pool import keys, leases
from executors.registry import provider_class
from executors.routing import Need, blocked_reason, effective_policy, find, rank, share_of
from executors.services import house


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
    has_free_slot: bool = False
    """Whether one of the usable ones had a slot left when this was read. Only `start` says it for sure."""


def route(need: Need) -> Route:
    """Who may serve this, best first. Reads only: two to four queries. Raises the contract's code when nobody may.

    A kind that needs no executor gives an empty route unless one was named; then there is nothing to reserve or start.
    Where the settings say nothing of such a kind, any active executor of its type serves.
    """
    cls = provider_class(need.provider)
    if not (cls.needs_executor or need.asked_executor_id or need.bound_executor_id) and house.find_endpoint(cls):
        source = "in_process" if cls.runs_here else "settings"
        return Route(policy="none", explanation={"source": source, "candidates": [], "leftOut": []})
    now = timezone.now()
    try:
        found = find(need, cls)
    except ExecutorNotConfigured:
        if cls.needs_executor:
            raise
        raise provider_not_configured(cls.kind) from None
    policy = effective_policy(need.policy, cls)
    leased = leases.read_loads([row.pk for row in found.executors])
    loads = leases.loads_of(found.executors, leased)
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
        has_free_slot=any(leases.has_slot(row, leased.get(row.pk, leases.NO_LOAD)) for row in usable),
    )


def avoid(need: Need, executor_ids: Sequence[str]) -> Need:
    """The same need, after these executors have failed for it."""
    return replace(need, avoided_executor_ids=tuple(executor_ids))


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


def _cursor_key(need: Need, executors: Sequence[Executor]) -> str:
    text = "|".join([need.provider, need.ability_id or need.capability_key, *sorted(row.pk for row in executors)])
    return hashlib.sha256(text.encode()).hexdigest()
