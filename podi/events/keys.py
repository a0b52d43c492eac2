"""The signing secrets of owners: which ones sign now, and changing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from podi.events import signing
from podi.events.models import WebhookKey

OVERLAP = timedelta(hours=24)
"""How long the secret before a change keeps signing beside the new one."""


@dataclass(frozen=True, kw_only=True)
class SigningSecret:
    """What an owner is shown. `previous_valid_until` is set while the secret before it still signs too."""

    secret: str
    previous_valid_until: datetime | None


def current_secret(owner_id: str) -> SigningSecret:
    """The secret an owner verifies with. One query."""
    key = WebhookKey.objects.filter(owner_id=owner_id).first()
    text = signing.derive_secret(
        settings.WEBHOOK_SIGNING_KEYS[0], owner_id=owner_id, generation=key.generation if key else 0
    )
    until = key.changed_at + OVERLAP if key else None
    return SigningSecret(secret=text, previous_valid_until=until if until and until > timezone.now() else None)


def change_secret(owner_id: str) -> SigningSecret:
    """Give an owner a new secret; the old one signs beside it for a day."""
    now = timezone.now()
    if not _raise_generation(owner_id, now):
        try:
            with transaction.atomic():
                WebhookKey.objects.create(owner_id=owner_id, generation=1, changed_at=now)
        except IntegrityError:  # somebody changed it for the first time just now
            _raise_generation(owner_id, now)
    return current_secret(owner_id)


def signing_secrets(owner_ids: Iterable[str | None]) -> Mapping[str | None, Sequence[str]]:
    """For each owner every secret that signs now: all platform keys, and the generation before while it is valid."""
    owners = set(owner_ids)
    keys = {key.owner_id: key for key in WebhookKey.objects.filter(owner_id__in=[owner for owner in owners if owner])}
    now = timezone.now()
    return {owner: _secrets(owner, keys.get(owner) if owner else None, now) for owner in owners}


def _secrets(owner_id: str | None, key: WebhookKey | None, now: datetime) -> list[str]:
    generations = [key.generation if key else 0]
    if key and key.changed_at + OVERLAP > now:
        generations.append(key.generation - 1)
    return [
        signing.derive_secret(platform_key, owner_id=owner_id or "", generation=generation)
        for platform_key in settings.WEBHOOK_SIGNING_KEYS
        for generation in generations
    ]


def _raise_generation(owner_id: str, now: datetime) -> int:
    return WebhookKey.objects.filter(owner_id=owner_id).update(generation=F("generation") + 1, changed_at=now)
