"""What every change by a person has in common: who may, is it valid, and the fact that it happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from executors.errors import IdTaken
from podi.base.errors import AdminOnly, InvalidInput
from podi.base.models import User
from podi.events import services as events


def require_operator(actor: User) -> None:
    if not actor.is_staff:
        raise AdminOnly()


def check(row: models.Model) -> None:
    """The model's own rules. Raises InvalidInput, or IdTaken for an id in use."""
    try:
        row.full_clean(validate_constraints=False)
    except ValidationError as error:
        if any(item.code == "unique" for item in error.error_dict.get("id", [])):
            raise IdTaken() from error
        raise InvalidInput(fields={name: " ".join(texts) for name, texts in error.message_dict.items()}) from error


def insert(row: models.Model) -> None:
    """Store a new row inside the caller's transaction. Raises IdTaken when another request was first."""
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise IdTaken() from error


def tell(actor: User, topic: str, subject: tuple[str, str], facts: Mapping[str, Any]) -> None:
    """Record the change in the same transaction. `facts` must hold no secret."""
    payload = {"actorId": actor.pk, "actorName": actor.get_username(), **facts}
    events.record(events.Fact(topic=topic, subject=subject, owner_id=None, payload=payload))


def changed_fields(row: models.Model, changes: Mapping[str, Any]) -> list[str]:
    """Set the fields that differ and name them. JSON is replaced as a whole, never changed in place."""
    changed = [name for name, value in changes.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, changes[name])
    return changed
