"""`Idempotency-Key`: the same creating request twice makes one thing and gets one answer.

A caller does, in this order: `read_key`, `find` (answer from what it names), then in ONE transaction create and
`remember`; on `AlreadyRemembered` that transaction rolls back and `find` names what the other request created. The key
and the thing are committed together, so a killed process leaves both or neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from podi.base.errors import IdempotencyKeyReused, InvalidInput
from podi.base.models import IdempotencyKey, User

HEADER: Final = "Idempotency-Key"
MAX_CHARS: Final = 191

__all__ = ["HEADER", "AlreadyRemembered", "IdempotencyKey", "find", "fingerprint", "read_key", "remember", "sweep_keys"]


class AlreadyRemembered(Exception):
    """Another request with this key committed first: roll back and answer from `find`."""


def read_key(headers: Mapping[str, str]) -> str | None:
    """The key of a request's headers (`request.headers`), None without one; InvalidInput (422) for an unusable one."""
    key = headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_CHARS or not key.isprintable() or not key.strip():
        raise InvalidInput(fields={HEADER: _("Use 1 to 191 printable characters.")})
    return key


def fingerprint(method: str, path: str, body: Any) -> str:
    """What makes two requests the same: method, path and the parsed body, whatever the order of its keys."""
    text = json.dumps([method.upper(), path, body], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def find(owner: User, key: str, *, fingerprint: str) -> str | None:
    """The id of what this key created; None when it is new. Raises IdempotencyKeyReused for a different request."""
    row = IdempotencyKey.objects.filter(owner=owner, key_hash=_hash(key)).first()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused()
    return row.subject_id


def remember(owner: User, key: str, *, fingerprint: str, subject: tuple[str, str]) -> None:
    """Tie the key to `subject` (type, id). Call it inside the creating transaction.

    Raises AlreadyRemembered, which must leave that transaction so that the creation is rolled back.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "remember() belongs into the transaction that creates the subject."
        )
    try:
        IdempotencyKey.objects.create(
            owner=owner,
            key=key,
            key_hash=_hash(key),
            fingerprint=fingerprint,
            subject_type=subject[0],
            subject_id=subject[1],
        )
    except IntegrityError as error:
        raise AlreadyRemembered(key) from error


def sweep_keys() -> int:
    """Forget keys older than IDEMPOTENCY_RETENTION_S; returns how many."""
    oldest = timezone.now() - timedelta(seconds=settings.IDEMPOTENCY_RETENTION_S)
    return IdempotencyKey.objects.filter(created_at__lt=oldest).delete()[0]


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
