"""Sends what is due: claims by compare-and-set, many receivers at once, none of which can hold up another.

The row is the truth. Killed after the receiver answered and before that is written, the delivery is sent again when its
claim has run out, under the same webhook-id: at least once.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models import F, Q
from django.utils import timezone

from podi.events import keys, sending, services
from podi.events.models import Delivery, DeliveryAttempt
from podi.events.sending import Outcome, Parcel
from podi.events.slots import Slots

logger = logging.getLogger(__name__)

BACKOFF_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200)
"""Waits between the attempts of a round; after the last the delivery is given up, more than a day after the first."""
JITTER = 0.2
CLAIM_S = 25
"""Longer than an attempt may take; a sender that died holds its delivery no longer than this."""
THREADS = 24
PER_HOST = 4
FOR_SLOW = 12
SLOW_MS = 5000

_slots = Slots(total=THREADS, per_host=PER_HOST, for_slow=FOR_SLOW)
_pool_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def due(limit: int) -> list[Delivery]:
    """Pending deliveries whose time has come and that nobody has claimed, longest waiting first."""
    return _find_due(limit, without_hosts=())


def run_due(*, limit: int = 100, wait_s: float = 0) -> int:
    """Start up to `limit` due deliveries on the sending threads; how many were started.

    Returns at once, or when these sends are finished if `wait_s` is given. Call it often: what found no free place now
    is started by the next call. Any number of processes may call it. Must not run inside a transaction.
    """
    futures: list[Future[None]] = []
    closed_hosts: set[str] = set()
    while (room := min(limit - len(futures), _slots.free())) > 0:
        closed_hosts |= _slots.closed_hosts()
        found = _find_due(room, without_hosts=closed_hosts)
        for delivery in found:
            if not _slots.take(delivery.host):
                closed_hosts.add(delivery.host)
            elif (future := _start(delivery)) is not None:
                futures.append(future)
        if closed_hosts.isdisjoint(delivery.host for delivery in found):
            break
    if wait_s and futures:
        wait(futures, timeout=wait_s)
    return len(futures)


def _find_due(limit: int, *, without_hosts: Collection[str]) -> list[Delivery]:
    now = timezone.now()
    found = Delivery.objects.filter(_unclaimed(now), state=Delivery.State.PENDING, next_attempt_at__lte=now)
    if without_hosts:
        found = found.exclude(host__in=without_hosts)
    return list(found.order_by("next_attempt_at")[:limit])


def _unclaimed(now: datetime) -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lt=now)


def _claim(delivery: Delivery) -> bool:
    """Take it for this process. The rising `attempts` is the fence: who carries an older number is out of date."""
    now = timezone.now()
    mine = Delivery.objects.filter(
        _unclaimed(now),
        pk=delivery.pk,
        state=Delivery.State.PENDING,
        attempts=delivery.attempts,
        attempts_before=delivery.attempts_before,
    ).update(attempts=F("attempts") + 1, claimed_until=now + timedelta(seconds=CLAIM_S))
    if mine:
        delivery.attempts += 1
    return bool(mine)


def _start(delivery: Delivery) -> Future[None] | None:
    """Claim it and hand it to a thread; its place is already taken, and given back if somebody else was first."""
    is_started = False
    try:
        if not _claim(delivery):
            return None
        future = _threads().submit(_deliver, delivery)
        is_started = True
        return future
    finally:
        if not is_started:
            _slots.give_back(delivery.host, is_prompt=None)


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="podi-delivery")
        return _pool


def _deliver(delivery: Delivery) -> None:
    """One attempt, from the claimed row to the written result. Runs on a sending thread."""
    is_prompt: bool | None = None
    try:
        outcome = sending.send(_parcel(delivery), allowed_networks=settings.FETCH_ALLOWED_NETWORKS)
        is_prompt = outcome.duration_ms < SLOW_MS
        _write(delivery, outcome)
    except Exception:  # the delivery boundary: the claim runs out and the row is tried again
        logger.exception("Delivery %s attempt %s ended in an error of ours", delivery.pk, delivery.attempts)
    finally:
        _slots.give_back(delivery.host, is_prompt=is_prompt)
        close_old_connections()


def _parcel(delivery: Delivery) -> Parcel:
    return Parcel(
        message_id=delivery.pk,
        url=delivery.url,
        headers=delivery.headers,
        body=delivery.body,
        secrets=keys.signing_secrets([delivery.owner_id])[delivery.owner_id],
    )


def _write(delivery: Delivery, outcome: Outcome) -> None:
    """The attempt, and what follows from it, in one transaction."""
    with transaction.atomic():
        DeliveryAttempt.objects.create(
            delivery=delivery,
            number=delivery.attempts,
            started_at=outcome.started_at,
            duration_ms=outcome.duration_ms,
            http_status=outcome.status,
            answer=outcome.answer,
            error=outcome.error,
        )
        row = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING)
        if outcome.is_delivered:  # true even for one whose claim ran out meanwhile: the receiver has it
            row.update(
                state=Delivery.State.DELIVERED,
                delivered_at=timezone.now(),
                next_attempt_at=None,
                claimed_until=None,
                last_status=outcome.status,
                last_error="",
            )
            return
        _reschedule(delivery, outcome)


def _reschedule(delivery: Delivery, outcome: Outcome) -> None:
    """Next time, or never again. Writes nothing if somebody else has claimed the row since."""
    tries = delivery.attempts - delivery.attempts_before
    is_over = outcome.is_final or tries > len(BACKOFF_S)
    wait_s = 0.0 if is_over else next_wait_s(tries, retry_after_s=outcome.retry_after_s)
    changed = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING, attempts=delivery.attempts).update(
        state=Delivery.State.DEAD if is_over else Delivery.State.PENDING,
        next_attempt_at=None if is_over else timezone.now() + timedelta(seconds=wait_s),
        claimed_until=None,
        last_status=outcome.status,
        last_error=outcome.error,
    )
    if changed and is_over:
        _report_dead(delivery, outcome)


def next_wait_s(tries: int, *, retry_after_s: float | None = None) -> float:
    """Seconds to wait after `tries` attempts of this round: back-off with jitter, longer if the receiver asks."""
    base = BACKOFF_S[min(tries, len(BACKOFF_S)) - 1]
    return max(base * random.uniform(1 - JITTER, 1 + JITTER), retry_after_s or 0)


def _report_dead(delivery: Delivery, outcome: Outcome) -> None:
    services.record(
        services.Fact(
            topic="delivery.dead",
            subject=("delivery", delivery.pk),
            owner_id=None,
            payload={
                "deliveryId": delivery.pk,
                "ownerId": delivery.owner_id,
                "url": delivery.url,
                "attempts": delivery.attempts,
                "httpStatus": outcome.status,
                "error": outcome.error,
            },
        )
    )
