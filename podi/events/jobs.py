"""What the poller does for events: sends due deliveries, numbers committed events, removes old ones."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from podi.base.duties import Duty
from podi.events import delivery, sequencer
from podi.events.models import Delivery, DeliveryAttempt, Event

SWEEP_BATCH = 500


class Deliveries(Duty):
    name: ClassVar[str] = "deliveries"
    interval_s = 0.25

    def run(self) -> None:
        delivery.run_due()


class Sequence(Duty):
    """Web processes with open streams number events themselves; this is for the time when nobody listens."""

    name: ClassVar[str] = "event-sequence"
    interval_s = 0.5

    def run(self) -> None:
        while sequencer.sequence_committed(1000) == 1000:
            pass


class Retention(Duty):
    name: ClassVar[str] = "event-retention"
    interval_s = 3600.0

    def run(self) -> None:
        sweep(timezone.now())


def sweep(now: datetime, *, limit_s: float = 60) -> int:
    """Remove events older than EVENT_RETENTION_DAYS with their deliveries; how many events.

    An event stays while a delivery of it is pending. Works in small batches and stops after `limit_s` seconds.
    """
    before = now - timedelta(days=settings.EVENT_RETENTION_DAYS)
    stop_at = time.monotonic() + limit_s
    removed = 0
    while time.monotonic() < stop_at:
        pending = Delivery.objects.filter(state=Delivery.State.PENDING).values("event_id")
        old = Event.objects.filter(created_at__lt=before, sequence__isnull=False).exclude(id__in=pending)
        ids = list(old.order_by("created_at").values_list("id", flat=True)[:SWEEP_BATCH])
        if not ids:
            break
        removed += _remove(ids)
    return removed


def _remove(ids: list[int]) -> int:
    """Children first, so that a kill in between leaves nothing that points nowhere. The mark comes before the deed."""
    last = Event.objects.filter(id__in=ids).aggregate(last=Max("sequence"))["last"]
    sequencer.mark_swept(last or 0)
    DeliveryAttempt.objects.filter(delivery__event_id__in=ids).delete()
    Delivery.objects.filter(event_id__in=ids).delete()
    return Event.objects.filter(id__in=ids).delete()[0]
