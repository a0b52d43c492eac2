"""Old events go with their deliveries; what is still on its way stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from podi.events import jobs, sequencer
from podi.events.models import Delivery, DeliveryAttempt, Event
from tests.events.facts import record, record_callback

pytestmark = pytest.mark.django_db(transaction=True)


def test_retention_removes_old_events_and_keeps_pending_deliveries() -> None:
    old, fresh = record(), record()
    arrived = record_callback("http://127.0.0.1:1/")
    pending = record_callback("http://127.0.0.1:1/")
    DeliveryAttempt.objects.create(delivery=arrived, number=1, started_at=timezone.now(), duration_ms=1)
    Delivery.objects.filter(pk=arrived.pk).update(state="delivered")
    Event.objects.exclude(pk=fresh.pk).update(created_at=timezone.now() - timedelta(days=91))
    sequencer.sequence_committed()
    old.refresh_from_db()
    arrived.event.refresh_from_db()

    assert jobs.sweep(timezone.now()) == 2

    assert set(Event.objects.values_list("pk", flat=True)) == {fresh.pk, pending.event_id}
    assert list(Delivery.objects.all()) == [pending]
    assert not DeliveryAttempt.objects.exists()
    assert sequencer.swept_through() == arrived.event.sequence
    assert jobs.sweep(timezone.now()) == 0


def test_the_duties_are_declared() -> None:
    from podi.base import duties

    assert {jobs.Deliveries, jobs.Sequence, jobs.Retention} <= set(duties.declared())
