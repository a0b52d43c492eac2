"""Which executors may serve a need, and in which order: contract 5.2. It reads; it takes nothing.

The decision that differs from the origin: `auto` is least loaded, not first. With "first" one of two equal nodes got
all the work. Weight is a share: an executor of weight 2 is filled twice as far as one of weight 1.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from executors.errors import (
    ExecutorInactive,
    ExecutorNotConfigured,
    ExecutorNotFound,
    ExecutorNotMatched,
    ExecutorTypeMismatch,
)
from executors.models import Executor, Status, WorkflowBinding
from executors.providers.base import Provider

POLICIES = ("auto", "fixed", "weight", "round_robin", "queue")
BREAKER_FAILURES = 3
"""So many failures in a row open the breaker."""
HEALTH_STALE_S = 180
"""An "unhealthy" older than this is no longer believed: nobody has looked since."""
UNHEALTHY = "unhealthy"
HEALTHY = "healthy"


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a task needs of an executor."""

    provider: str
    capability_key: str = ""
    ability_id: str = ""
    asked_executor_id: str = ""
    """The caller's executorId."""
    bound_executor_id: str = ""
    """The ability's own executor."""
    action: str = ""
    allowed_executor_ids: tuple[str, ...] = ()
    required_tags: tuple[str, ...] = ()
    policy: str = "auto"
    fallback_to_default: bool = True
    avoided_executor_ids: tuple[str, ...] = ()
    """Failed before for this task; used again only when there is no other."""
    workflow_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The executors the rules allow, in preferred order, whether or not they are free. `source` names the rule."""

    source: str
    executors: tuple[Executor, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def find(need: Need, cls: type[Provider]) -> Found:
    """Apply the rules in their order. Raises the contract's code when nothing may serve the need."""
    return _able(need, _apply_rules(need, cls))


def _apply_rules(need: Need, cls: type[Provider]) -> Found:
    wanted = [pk for pk in (need.asked_executor_id, need.bound_executor_id) if pk]
    rows = {
        row.pk: row
        for row in Executor.objects.filter(Q(type=need.provider, status=Status.ACTIVE) | Q(pk__in=wanted)).defer(
            "secrets", "inventory"
        )
    }
    if need.asked_executor_id:
        return Found(source="asked", executors=(_asked(need, rows.get(need.asked_executor_id)),))
    if bound := rows.get(need.bound_executor_id):
        return Found(source="ability", executors=(_checked(need, bound),))
    active = {pk: row for pk, row in rows.items() if row.type == need.provider and row.status == Status.ACTIVE}
    left_out: dict[str, str] = {}
    if cls.runs_workflows and (default := active.get(settings.COMFYUI_DEFAULT_EXECUTOR_ID)):
        return Found(source="default_executor", executors=(default,))
    if need.allowed_executor_ids:
        chosen = _fitting(need, need.allowed_executor_ids, active, left_out)
        if chosen:
            return Found(source="allowed", executors=chosen, left_out=left_out)
    if cls.runs_workflows and not (need.allowed_executor_ids and not need.fallback_to_default):
        chosen = _bound_by_action(need, active, left_out)
        if chosen:
            return Found(source="bindings", executors=chosen, left_out=left_out)
    if need.fallback_to_default or not cls.runs_workflows:
        order = sorted(active.values(), key=lambda row: (-row.weight, row.pk))
        chosen = _fitting(need, [row.pk for row in order], active, left_out)
        if chosen:
            return Found(source="provider", executors=chosen, left_out=left_out)
    if cls.runs_workflows and (left_out or not need.fallback_to_default):
        raise ExecutorNotMatched(leftOut=left_out)
    raise ExecutorNotConfigured(provider=need.provider)


def _able(need: Need, found: Found) -> Found:
    """Without the nodes that are known to lack something the workflow needs; says what is missing when all do."""
    gaps = {row.pk: row.gaps[need.workflow_id] for row in found.executors if need.workflow_id in row.gaps}
    if not gaps:
        return found
    able = tuple(row for row in found.executors if row.pk not in gaps)
    if not able:
        raise ExecutorNotMatched(_("No node has all that this workflow needs; see `missing`."), missing=gaps)
    return replace(found, executors=able, left_out={**found.left_out, **dict.fromkeys(gaps, "lacks_requirements")})


def _asked(need: Need, executor: Executor | None) -> Executor:
    if executor is None:
        raise ExecutorNotFound(executorId=need.asked_executor_id)
    _checked(need, executor)
    allowed = need.allowed_executor_ids
    if allowed and not need.fallback_to_default and executor.pk not in allowed:
        raise ExecutorNotMatched(executorId=executor.pk)
    return executor


def _checked(need: Need, executor: Executor) -> Executor:
    if executor.type != need.provider:
        raise ExecutorTypeMismatch(wanted=need.provider, executor_id=executor.pk)
    if executor.status != Status.ACTIVE:
        raise ExecutorInactive(executorId=executor.pk)
    return executor


def _fitting(
    need: Need, ids: Sequence[str], active: Mapping[str, Executor], left_out: dict[str, str]
) -> tuple[Executor, ...]:
    required = {tag.lower() for tag in need.required_tags}
    chosen = []
    for pk in dict.fromkeys(ids):
        executor = active.get(pk)
        if executor is None:
            left_out[pk] = "unknown_or_inactive"
        elif required - tags_of(executor):
            left_out[pk] = "tags_missing"
        else:
            chosen.append(executor)
            left_out.pop(pk, None)
    return tuple(chosen)


def _bound_by_action(need: Need, active: Mapping[str, Executor], left_out: dict[str, str]) -> tuple[Executor, ...]:
    """Executors of the highest priority that has a fitting one. Bindings of other workflows do not count."""
    bindings = WorkflowBinding.objects.filter(action=need.action or "generic", enabled=True)
    if need.workflow_id:
        bindings = bindings.filter(workflow_id=need.workflow_id)
    by_priority: dict[int, list[str]] = {}
    for priority, executor_id in bindings.order_by("-priority", "id").values_list("priority", "executor_id"):
        by_priority.setdefault(priority, []).append(executor_id)
    for ids in by_priority.values():
        if chosen := _fitting(need, ids, active, left_out):
            return chosen
    return ()


def tags_of(executor: Executor) -> set[str]:
    """`config.tags` or `config.tag`: a list, or text split on comma or semicolon; lower case."""
    raw = executor.config.get("tags") or executor.config.get("tag") or []
    parts = re.split(r"[,;]", raw) if isinstance(raw, str) else [str(part) for part in raw]
    return {part.strip().lower() for part in parts if part.strip()}


def blocked_reason(executor: Executor, now: datetime) -> str:
    """Why it takes no new work right now; empty when it does."""
    if executor.is_draining:
        return "draining"
    if executor.paused_until and executor.paused_until > now:
        return "breaker_open" if executor.failures_in_row >= BREAKER_FAILURES else "paused"
    if executor.health_status == UNHEALTHY and executor.probed_at:
        age_s = (now - executor.probed_at).total_seconds()
        return UNHEALTHY if age_s < HEALTH_STALE_S else ""
    return ""


def is_on_trial(executor: Executor) -> bool:
    """The breaker is half open: one task may try it."""
    return executor.failures_in_row >= BREAKER_FAILURES


def effective_policy(policy: str, cls: type[Provider]) -> str:
    if policy not in POLICIES:
        policy = "auto"
    if policy == "auto" and cls.runs_workflows and settings.COMFYUI_ROUTE_BY_QUEUE:
        return "queue"
    return policy


def share_of(executor: Executor, load: int) -> float:
    """How full it would be with one more task, relative to what it can carry."""
    return (load + 1) / (max(1, executor.max_concurrency) * max(1, executor.weight))


def rank(
    executors: Sequence[Executor], *, policy: str, loads: Mapping[str, int], turn: int = 0
) -> tuple[Executor, ...]:
    """Best first. `loads` counts reserved and observed work; `turn` is the round-robin position.

    Those on trial come last, but for the policy `fixed`: a customer's task tries them only when the others are full.
    """
    ordered = _rank(executors, policy=policy, loads=loads, turn=turn)
    return ordered if policy == "fixed" else tuple(sorted(ordered, key=is_on_trial))


def _rank(executors: Sequence[Executor], *, policy: str, loads: Mapping[str, int], turn: int) -> tuple[Executor, ...]:
    if policy == "weight":
        # Weighted random order without replacement (Efraimidis and Spirakis).
        keyed = [(random.random() ** (1 / max(1, row.weight)), row) for row in executors]
        return tuple(row for _key, row in sorted(keyed, key=lambda pair: -pair[0]))
    if policy == "round_robin" and executors:
        start = turn % len(executors)
        return (*executors[start:], *executors[:start])
    if policy == "queue":
        batch = settings.COMFYUI_QUEUE_BATCH_SIZE

        def by_queue(row: Executor) -> tuple[bool, int, str]:
            load = loads.get(row.pk, 0)
            return (load >= batch, load, row.pk)

        return tuple(sorted(executors, key=by_queue))
    if policy == "auto":
        return tuple(sorted(executors, key=lambda row: (share_of(row, loads.get(row.pk, 0)), random.random())))
    return tuple(executors)
