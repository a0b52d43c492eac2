"""Facts and users that the tests of events need."""

from __future__ import annotations

import itertools
from typing import Any

from django.db import transaction

from podi.base.models import User
from podi.events import services
from podi.events.models import Delivery, Event

_numbers = itertools.count(1)


def user(name: str = "", *, staff: bool = False) -> User:
    name = name or f"user{next(_numbers)}"
    return User.objects.create(username=name, is_staff=staff)


def fact(
    owner: User | None = None, topic: str = "task.status", callback: services.Callback | None = None, **payload: Any
) -> services.Fact:
    subject = ("task", str(payload.get("taskId", "t")))
    owner_id = owner.pk if owner else None
    return services.Fact(topic=topic, subject=subject, owner_id=owner_id, payload=payload, callback=callback)


def record(owner: User | None = None, topic: str = "task.status", **payload: Any) -> Event:
    with transaction.atomic():
        return services.record(fact(owner, topic, **payload))


def record_callback(
    url: str, *, owner: User | None = None, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> Delivery:
    callback = services.Callback(url=url, headers=headers or {}, body=body or {"status": "success"})
    with transaction.atomic():
        event = services.record(fact(owner, callback=callback))
    return event.deliveries.get()
