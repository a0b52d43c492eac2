"""Signs of life of pollers and workers.

The poller notes itself and rings the workers. A worker's beat is a job like any other, so it shows that the broker
hands out work and how long that takes, not only that a process exists.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from podi.base.duties import Duty
from podi.base.models import Heartbeat

POLLER = "poller"
WORKER = "worker"
BELL = "worker-bell"

BEAT_EVERY_S = 5.0
WORKER_BEAT_EVERY_S = 10.0
WORKER_JOB = "podi.base.heartbeats.beat_as_worker"
"""What the broker is told to call."""
LOST_AFTER = timedelta(minutes=2)
"""A ring that no worker answered for this long was lost with its broker, and is given again."""
KEPT = timedelta(days=1)


def own_name() -> str:
    """This process, as other hosts know it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def beat(kind: str, name: str, facts: Mapping[str, Any] | None = None) -> None:
    """Note that this process is alive now. One statement, but for its first beat."""
    values = {"seen_at": timezone.now(), "facts": dict(facts or {})}
    if Heartbeat.objects.filter(kind=kind, name=name).update(**values):
        return
    Heartbeat.objects.filter(kind=kind, seen_at__lt=timezone.now() - KEPT).delete()
    try:
        with transaction.atomic():
            Heartbeat.objects.create(kind=kind, name=name, **values)
    except IntegrityError:  # the same process in another thread was first
        Heartbeat.objects.filter(kind=kind, name=name).update(**values)


def alive(kind: str, within_s: float) -> list[Heartbeat]:
    """Who of this kind was seen in the last seconds, the latest first."""
    since = timezone.now() - timedelta(seconds=within_s)
    return list(Heartbeat.objects.filter(kind=kind, seen_at__gte=since).order_by("-seen_at"))


def ring_workers() -> bool:
    """Ask the workers for a sign of life, unless that was done just now or is not yet answered.

    Safe to call often and from many pollers: one of them wins, and unanswered rings never pile up in the broker.
    """
    now = timezone.now()
    bell = Heartbeat.objects.filter(kind=BELL, name="").first()
    if bell is None:
        beat(BELL, "", {"rings": 0})
        bell = Heartbeat.objects.get(kind=BELL, name="")
    elif now - bell.seen_at < timedelta(seconds=WORKER_BEAT_EVERY_S) or not _is_answered(bell, now):
        return False
    rung = Heartbeat.objects.filter(pk=bell.pk, seen_at=bell.seen_at).update(seen_at=now)
    if rung:
        async_task(WORKER_JOB, now.timestamp())
    return bool(rung)


def beat_as_worker(rung_at: float) -> None:
    """The job: this worker is alive, and so long did the ring wait in the queue."""
    waited_ms = round((timezone.now().timestamp() - rung_at) * 1000)
    beat(WORKER, socket.gethostname(), {"pid": os.getpid(), "waitedMs": max(waited_ms, 0)})


def _is_answered(bell: Heartbeat, now: datetime) -> bool:
    if now - bell.seen_at > LOST_AFTER:
        return True
    return Heartbeat.objects.filter(kind=WORKER, seen_at__gte=bell.seen_at).exists()


class HeartbeatDuty(Duty):
    """The poller's own sign of life, and the bell for the workers'."""

    name = "heartbeat"
    interval_s = BEAT_EVERY_S

    def run(self) -> None:
        beat(POLLER, own_name())
        ring_workers()
