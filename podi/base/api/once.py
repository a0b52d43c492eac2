"""`Idempotency-Key` on a call that creates one row: create it, or answer with what the key created before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import models, transaction
from rest_framework.request import Request

from podi.base import idempotency
from podi.base.models import User

Row = TypeVar("Row", bound=models.Model)


def create_once(request: Request, actor: User, *, create: Callable[[], Row], find: Callable[[str], Row]) -> Row:
    """Create, or find what this request's key created before. Raises IdempotencyKeyReused."""
    key = idempotency.read_key(request.headers)
    if key is None:
        return create()
    fingerprint = idempotency.fingerprint(request.method or "POST", request.path, request.data)
    if earlier := idempotency.find(actor, key, fingerprint=fingerprint):
        return find(earlier)
    try:
        with transaction.atomic():
            row = create()
            subject = (row._meta.model_name or "", str(row.pk))
            idempotency.remember(actor, key, fingerprint=fingerprint, subject=subject)
            return row
    except idempotency.AlreadyRemembered:
        earlier = idempotency.find(actor, key, fingerprint=fingerprint)
        if earlier is None:
            raise
        return find(earlier)
