"""How executors and keys are doing: what work tells us in passing, and what a probe finds when it asks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from executors.errors import ExecutorNotFound
from executors.models import Executor, Lease, Status
from executors.pool import keys
from executors.providers.base import (
    Health,
    ProviderBusy,
    ProviderError,
    ProviderRefusedKey,
    ProviderSilent,
    ProviderUnintelligible,
    ProviderUnreachable,
)
from executors.routing import BREAKER_FAILURES, HEALTHY, UNHEALTHY
from executors.services.connections import Connection, connect
from executors.services.gaps import find_gaps
from podi.base.errors import PodiError
from podi.events import services as events

logger = logging.getLogger(__name__)

BREAKER_PAUSE_S = 15.0
BREAKER_MAX_PAUSE_S = 300.0
BUSY_PAUSE_S = 10.0
REFUSED_PAUSE_S = 300.0
PROBE_EVERY_S = 30.0
INVENTORY_EVERY_S = 600.0
PROBE_AGAIN_S = 10.0
"""Between probes of an executor that is down."""


def note_success(connection: Connection, *, is_use: bool = True) -> None:
    """A call went well. Closes the breaker if it was not closed; counts a use of the key unless `is_use` is False.

    Pass `is_use=False` for polls and cancels. Without a key and with a closed breaker nothing is written.
    """
    now = timezone.now()
    if is_use and connection.api_key is not None:
        keys.count_use(connection.api_key.pk, now)
    executor = connection.executor
    if executor is None or not executor.failures_in_row:
        return
    was_open = Executor.objects.filter(pk=executor.pk, failures_in_row__gte=BREAKER_FAILURES)
    with transaction.atomic():
        if was_open.update(failures_in_row=0, paused_until=None):
            _tell(executor, "executor.recovered", {"failuresInRow": executor.failures_in_row})
        else:
            Executor.objects.filter(pk=executor.pk, failures_in_row__gt=0).update(failures_in_row=0)
    executor.failures_in_row = 0


def note_failure(connection: Connection, error: ProviderError) -> None:
    """A call went wrong. What follows depends on the error; input that was refused says nothing about health."""
    now = timezone.now()
    match error:
        case ProviderBusy():
            _rest(connection, error, now)
        case ProviderRefusedKey():
            _refuse_key(connection, error, now)
        case ProviderUnreachable() | ProviderSilent() | ProviderUnintelligible():
            if connection.executor is not None:
                _count_failure(connection.executor, error, now)
        case _:
            return


def probe(executor_id: str, *, with_inventory: bool = False) -> Health:
    """Ask the executor itself and write down what it says; facts are recorded when it went down or came back.

    The inventory is read anew when it is old, when the executor comes back, or when `with_inventory` asks for it.

    Network work: call it outside a transaction. Raises ExecutorNotFound.
    """
    executor = Executor.objects.filter(pk=executor_id).first()
    if executor is None:
        raise ExecutorNotFound(executorId=executor_id)
    own_before = Lease.objects.filter(executor=executor, slot__isnull=False).count()
    health = _ask(executor, with_inventory=with_inventory)
    _write_health(executor, health, own_before)
    return health


def probe_due(now: datetime, limit: int) -> list[Executor]:
    """Active executors whose probe is due, claimed: whoever gets one here is the only one to probe it this round."""
    due = (
        Executor.objects.filter(Q(next_probe_at__isnull=True) | Q(next_probe_at__lte=now), status=Status.ACTIVE)
        .defer("secrets", "inventory")
        .order_by(F("next_probe_at").asc(nulls_first=True), "pk")[:limit]
    )
    until = now + timedelta(seconds=PROBE_EVERY_S)
    return [
        row
        for row in due
        if Executor.objects.filter(pk=row.pk, next_probe_at=row.next_probe_at).update(next_probe_at=until)
    ]


def _rest(connection: Connection, error: ProviderError, now: datetime) -> None:
    if connection.api_key is not None:
        pause_s = error.retry_after_s if error.retry_after_s is not None else keys.COOLDOWN_S
        keys.pause(connection.api_key.pk, now + timedelta(seconds=pause_s), "rate_limited")
    elif connection.executor is not None:
        pause_s = error.retry_after_s if error.retry_after_s is not None else BUSY_PAUSE_S
        _pause(connection.executor, now + timedelta(seconds=pause_s))


def _pause(executor: Executor, until: datetime) -> bool:
    shorter = Q(paused_until__isnull=True) | Q(paused_until__lt=until)
    return bool(Executor.objects.filter(shorter, pk=executor.pk).update(paused_until=until))


def _refuse_key(connection: Connection, error: ProviderError, now: datetime) -> None:
    key, executor = connection.api_key, connection.executor
    facts = {"code": error.code, "message": error.message[:500]}
    with transaction.atomic():
        if key is not None:
            if keys.set_aside(key.pk, error.code):
                subject = ("api_key", key.pk)
                payload = {"provider": key.provider, "name": key.name, "lastFour": key.last_four, **facts}
                events.record(
                    events.Fact(topic="executor.key_refused", subject=subject, owner_id=None, payload=payload)
                )
        elif executor is not None and _pause(executor, now + timedelta(seconds=REFUSED_PAUSE_S)):
            _tell(executor, "executor.key_refused", facts)


def _count_failure(executor: Executor, error: ProviderError, now: datetime) -> None:
    """One more failure in a row; at the threshold the breaker opens, and each further failure doubles the pause."""
    with transaction.atomic():
        Executor.objects.filter(pk=executor.pk).update(failures_in_row=F("failures_in_row") + 1, next_probe_at=now)
        failures = Executor.objects.values_list("failures_in_row", flat=True).filter(pk=executor.pk).first() or 0
        if failures < BREAKER_FAILURES:
            return
        pause_s = min(BREAKER_PAUSE_S * 2 ** (failures - BREAKER_FAILURES), BREAKER_MAX_PAUSE_S)
        opened: dict[str, Any] = {
            "paused_until": now + timedelta(seconds=pause_s),
            "health_message": f"{error.code}: {error.message}"[:512],
        }
        if isinstance(error, ProviderUnreachable):  # a probe can tell when this is over, so no task need try it
            opened |= {"health_status": UNHEALTHY, "probed_at": now}
        Executor.objects.filter(pk=executor.pk).update(**opened)
        if failures == BREAKER_FAILURES:
            _tell(executor, "executor.breaker_opened", {"code": error.code, "message": error.message[:500]})


def _ask(executor: Executor, *, with_inventory: bool) -> Health:
    try:
        provider = connect(executor.type, executor).provider
    except PodiError as error:
        return Health(is_up=False, message=error.stored_text)
    health = provider.probe()
    is_wanted = with_inventory or executor.health_status != HEALTHY or _is_old(executor.inventory_at)
    if not (health.is_up and provider.has_inventory and is_wanted):
        return health
    try:
        return replace(health, inventory={**health.inventory, **provider.inventory()})
    except ProviderError as error:
        logger.warning("executor %s is up, but its inventory cannot be read: %s", executor.pk, error.message)
        return health


def _is_old(inventory_at: datetime | None) -> bool:
    return inventory_at is None or timezone.now() - inventory_at > timedelta(seconds=INVENTORY_EVERY_S)


def _write_health(executor: Executor, health: Health, own_before: int) -> None:
    now = timezone.now()
    status = HEALTHY if health.is_up else UNHEALTHY
    changes: dict[str, Any] = {
        "health_status": status,
        "health_message": health.message[:512],
        "probed_at": now,
        "next_probe_at": now + timedelta(seconds=PROBE_EVERY_S if health.is_up else PROBE_AGAIN_S),
        "queue_running": health.queue_running,
        "queue_pending": health.queue_pending,
        "foreign_load": _foreign_load(executor, health, own_before),
    }
    if health.is_up:
        changes["last_heartbeat_at"] = now
        if executor.health_status == UNHEALTHY:
            changes |= {"failures_in_row": 0, "paused_until": None}
    if health.inventory:
        changes["inventory"] = {**executor.inventory, **health.inventory}
    if "nodes" in health.inventory:
        changes |= {"inventory_at": now, "gaps": find_gaps(executor.type, changes["inventory"])}
    with transaction.atomic():
        Executor.objects.filter(pk=executor.pk).update(**changes)
        if executor.health_status != status and (executor.health_status or not health.is_up):
            topic = "executor.up" if health.is_up else "executor.down"
            _tell(executor, topic, {"message": health.message[:500]})


def _foreign_load(executor: Executor, health: Health, own_before: int) -> int:
    """Queue entries that are not ours. Counted generously: own work may have begun or ended while we asked."""
    if not health.is_up or health.queue_running is None:
        return 0
    own_after = Lease.objects.filter(executor=executor, slot__isnull=False).count()
    return max(0, health.queue_running + (health.queue_pending or 0) - max(own_before, own_after))


def _tell(executor: Executor, topic: str, payload: Mapping[str, Any]) -> None:
    facts = {"executorId": executor.pk, "name": executor.name, "type": executor.type, **payload}
    events.record(events.Fact(topic=topic, subject=("executor", executor.pk), owner_id=None, payload=facts))
