"""Retention: what a task (or anything else) refers to stays; what nobody used for a while goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef, ProtectedError, QuerySet

from media.models import Asset
from media.services.reading import thumbnail_path
from media.storage import open_storage
from media.storage.base import StorageError, StoredFile

log = logging.getLogger(__name__)

UNFINISHED_AFTER = timedelta(hours=6)
ORPHAN_AFTER = timedelta(days=1)
"""A file is written before its row; younger files may just be on their way."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How much one sweep removed."""

    unfinished: int
    unused: int


def sweep(now: datetime, *, limit: int = 500) -> Swept:
    """Clear away broken-off writes and up to `limit` unused files. Harmless when several processes do it at once."""
    unfinished = open_storage().remove_unfinished(before=now - UNFINISHED_AFTER)
    return Swept(unfinished=unfinished, unused=remove_unused(now, limit=limit))


def remove_unused(now: datetime, *, limit: int = 500) -> int:
    """Remove inputs and outputs that nothing refers to and nobody asked for in UNUSED_ASSET_DAYS; how many."""
    before = now - timedelta(days=settings.UNUSED_ASSET_DAYS)
    candidates = _unreferenced().filter(last_used_at__lt=before, kind__in=("input", "output")).order_by("last_used_at")
    return sum(remove_asset(asset, unused_since=before) for asset in candidates[:limit])


def remove_asset(asset: Asset, *, unused_since: datetime | None = None) -> bool:
    """Remove row, then file. False when something refers to it, or it was asked for after `unused_since`.

    A crash in between leaves a file without a row, which `find_orphans` shows.
    """
    rows = Asset.objects.filter(pk=asset.pk)
    if unused_since is not None:
        rows = rows.filter(last_used_at__lt=unused_since)
    try:
        with transaction.atomic():
            count, _ = rows.delete()
    except (ProtectedError, IntegrityError):
        return False
    if not count:
        return False
    if not Asset.objects.filter(sha256=asset.sha256).exists():
        thumbnail_path(asset).unlink(missing_ok=True)
    try:
        open_storage().delete(asset.object_key)
    except StorageError:
        log.warning("the file %s outlived its row", asset.object_key, exc_info=True)
    return True


def find_orphans(now: datetime) -> Iterator[StoredFile]:
    """Files without a row, at least a day old: left by a crash, or by a database put back from a backup."""
    files = (
        file for file in open_storage().iter_files(settings.OSS_ROOT_PREFIX) if file.modified_at < now - ORPHAN_AFTER
    )
    while batch := list(islice(files, 500)):
        keys = [file.key for file in batch]
        known = set(Asset.objects.filter(object_key__in=keys).values_list("object_key", flat=True))
        yield from (file for file in batch if file.key not in known)


def remove_orphans(now: datetime) -> int:
    """Remove them; for an operator who looked at the list first."""
    storage, count = open_storage(), 0
    for file in find_orphans(now):
        storage.delete(file.key)
        count += 1
    return count


def _unreferenced() -> QuerySet[Asset]:
    """Assets no row of any table points at. Whoever points at an asset keeps it, without media knowing who that is."""
    found = Asset.objects.all()
    for relation in Asset._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and not relation.many_to_many:
            rows = relation.field.model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            found = found.filter(~Exists(rows))
    return found
