"""The only writer of events: `record` inside the transaction of a change; and what people do with deliveries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from podi.base.errors import AdminOnly, InvalidInput
from podi.base.models import User
from podi.events import callbacks, hints
from podi.events.errors import DeliveryNotFound, DeliveryUnderWay
from podi.events.models import Delivery, Event

MAX_TOPIC_CHARS = 64
MAX_DEBUG_CHARS = 64 * 1024

check_callback = callbacks.check_callback


@dataclass(frozen=True, kw_only=True)
class Callback:
    """Where a fact is sent. `body` is complete: exactly this goes out, serialised once."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that happened. `subject` is (type, id); `owner_id` None means it concerns operators only."""

    topic: str
    subject: tuple[str, str]
    owner_id: str | None
    payload: Mapping[str, Any]
    callback: Callback | None = None


def record(fact: Fact) -> Event:
    """Write one fact, and its delivery if it has a callback, inside the caller's transaction: all or nothing.

    One INSERT, two with a callback. After the commit streams get a hint. Raises RuntimeError outside a transaction.
    """
    _require_transaction()
    event = _event(fact)
    event.save(force_insert=True)
    if fact.callback is not None:
        _delivery(event, fact.callback).save(force_insert=True)
    transaction.on_commit(hints.ring, robust=True)
    return event


def record_all(facts: Sequence[Fact]) -> None:
    """Write many facts without callbacks by one INSERT, inside the caller's transaction."""
    if not facts:
        return
    _require_transaction()
    if any(fact.callback for fact in facts):
        raise ValueError("record_all takes no callbacks: a delivery needs the id of its event, so use record().")
    Event.objects.bulk_create([_event(fact) for fact in facts])
    transaction.on_commit(hints.ring, robust=True)


def record_debug(actor: User, *, owner_id: str, body: Mapping[str, Any]) -> Event:
    """An operator's event made by hand: `{type, payload}` becomes just that, anything else the payload of `debug`.

    Raises AdminOnly, InvalidInput.
    """
    if not actor.is_staff:
        raise AdminOnly
    topic, payload = body.get("type"), body.get("payload")
    if not (isinstance(topic, str) and topic and isinstance(payload, Mapping)):
        topic, payload = "debug", body
    if len(topic) > MAX_TOPIC_CHARS:
        raise InvalidInput(fields={"type": _("At most 64 characters.")})
    if len(json.dumps(payload, cls=DjangoJSONEncoder)) > MAX_DEBUG_CHARS:
        raise InvalidInput(fields={"payload": _("At most 64 KB.")})
    with transaction.atomic():
        return record(Fact(topic=topic, subject=("debug", actor.pk), owner_id=owner_id, payload=payload))


def history(subject: tuple[str, str]) -> models.QuerySet[Event]:
    """The facts about one subject, oldest first."""
    kind, subject_id = subject
    return Event.objects.filter(subject_type=kind, subject_id=subject_id).order_by("id")


def deliveries_of(subject: tuple[str, str]) -> models.QuerySet[Delivery]:
    """The deliveries of facts about one subject, newest first."""
    kind, subject_id = subject
    return Delivery.objects.filter(event__subject_type=kind, event__subject_id=subject_id)


def visible_deliveries(actor: User) -> models.QuerySet[Delivery]:
    """Own deliveries; all of them for operators."""
    return Delivery.objects.all() if actor.is_staff else Delivery.objects.filter(owner_id=actor.pk)


def send_again(actor: User, delivery_id: str) -> Delivery:
    """Start a new round of attempts for a delivery of one's own (any, for operators), whatever became of the last.

    The webhook-id stays the same, so a receiver that has it already can tell. Recorded as `delivery.resent`.
    Raises DeliveryNotFound, and DeliveryUnderWay while an attempt is on its way.
    """
    delivery = visible_deliveries(actor).select_related("event").filter(pk=delivery_id).first()
    if delivery is None:
        raise DeliveryNotFound
    now = timezone.now()
    is_free = models.Q(claimed_until=None) | models.Q(claimed_until__lt=now)
    with transaction.atomic():
        changed = Delivery.objects.filter(is_free, pk=delivery.pk).update(
            state=Delivery.State.PENDING,
            attempts_before=models.F("attempts"),
            next_attempt_at=now,
            claimed_until=None,
            delivered_at=None,
        )
        if not changed:
            raise DeliveryUnderWay(retry_after_s=30)
        payload = {"deliveryId": delivery.pk, "url": delivery.url, "by": actor.get_username()}
        record(
            Fact(
                topic="delivery.resent", subject=("delivery", delivery.pk), owner_id=delivery.owner_id, payload=payload
            )
        )
    delivery.refresh_from_db()
    return delivery


def _require_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A fact is recorded inside the transaction of the change it tells.")


def _event(fact: Fact) -> Event:
    kind, subject_id = fact.subject
    return Event(
        topic=fact.topic,
        subject_type=kind,
        subject_id=subject_id,
        owner_id=fact.owner_id,
        payload=dict(fact.payload),
    )


def _delivery(event: Event, callback: Callback) -> Delivery:
    return Delivery(
        event=event,
        owner_id=event.owner_id,
        url=callback.url,
        host=urlsplit(callback.url).netloc.rpartition("@")[2].lower()[:255],
        headers=cast(Any, dict(callback.headers)),
        body=json.dumps(callback.body, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":")),
        next_attempt_at=timezone.now(),
    )
