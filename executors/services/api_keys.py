"""What operators do with our API keys at providers. The key itself goes in and never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from executors import parameters
from executors.errors import ApiKeyNotFound
from executors.models import ApiKey
from executors.services import changes
from podi.base.errors import InvalidInput
from podi.base.models import User


class ApiKeyChanges(TypedDict, total=False):
    """The fields an operator may set. `metadata` may carry secrets such as `secretKey`; they are encrypted too."""

    provider: str
    name: str
    key: str
    status: str
    daily_quota: int | None
    expire_at: datetime | None
    metadata: dict[str, Any] | None


def list_api_keys() -> QuerySet[ApiKey]:
    return ApiKey.objects.order_by("provider", "name", "pk")


def find_api_key(key_id: str) -> ApiKey:
    """Raises ApiKeyNotFound (404)."""
    row = ApiKey.objects.filter(pk=key_id).first()
    if row is None:
        raise ApiKeyNotFound(apiKeyId=key_id)
    return row


def create_api_key(actor: User, values: ApiKeyChanges, *, key_id: str = "") -> ApiKey:
    """A new key. Raises AdminOnly, InvalidInput, IdTaken."""
    changes.require_operator(actor)
    row = ApiKey(pk=key_id) if key_id else ApiKey()
    _apply(row, values)
    changes.check(row)
    with transaction.atomic():
        changes.insert(row)
        facts = {"provider": row.provider, "name": row.name, "lastFour": row.last_four}
        changes.tell(actor, "api_key.created", ("api_key", row.pk), facts)
    return row


def update_api_key(actor: User, row: ApiKey, values: ApiKeyChanges) -> ApiKey:
    """Change only what is given. Switching a key on, or giving it a new text, ends its pause.

    Raises AdminOnly, InvalidInput.
    """
    changes.require_operator(actor)
    changed = _apply(row, values)
    changes.check(row)
    if "key" in changed or ("status" in values and row.status == ApiKey.State.ACTIVE):
        changed += changes.changed_fields(row, {"cooldown_until": None, "cooldown_reason": ""})
    if changed:
        with transaction.atomic():
            row.save(update_fields=[*changed, "updated_at"])
            changes.tell(actor, "api_key.changed", ("api_key", row.pk), {"changed": sorted(changed)})
    return row


def delete_api_key(actor: User, row: ApiKey) -> None:
    """Delete it with its links. Work already sent with it can no longer be asked for."""
    changes.require_operator(actor)
    with transaction.atomic():
        changes.tell(actor, "api_key.deleted", ("api_key", row.pk), {"provider": row.provider, "name": row.name})
        row.delete()


def _apply(row: ApiKey, values: ApiKeyChanges) -> list[str]:
    fields: dict[str, Any] = dict(values)
    if "key" in fields:
        text = str(fields["key"] or "").strip()
        if parameters.is_mask(text):  # a form sent back what it was shown
            del fields["key"]
        elif not text:
            raise InvalidInput(fields={"key": _("Give the key.")})
        else:
            fields |= {"key": text, "last_four": text[-4:] if len(text) >= 12 else ""}
    if "metadata" in fields:
        plain, given = parameters.split(fields["metadata"] or {})
        fields["metadata"] = plain or None
        fields["secrets"] = parameters.merge_secrets(row.secrets or {}, given)
    return changes.changed_fields(row, fields)
