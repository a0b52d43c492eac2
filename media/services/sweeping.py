"""Retention: what a task (or anything else) refers to stays; what nobody used for a while goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import SET_NULL, Exists, ForeignObjectRel, OuterRef, ProtectedError, QuerySet

from media import keys
from media.models import Asset, Upload, UploadKey
from media.services import retention
from media.services.reading import thumbnail_path
from media.storage import open_storage
from media.storage.base import StorageError, StoredFile

log = logging.getLogger(__name__)

UNFINISHED_AFTER = timedelta(hours=6)
FORGOTTEN_AFTER = timedelta(days=30)
ORPHAN_AFTER = timedelta(days=1)
"""A file is written before its row; younger files may just be on their way."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How much one sweep removed."""

    unfinished: int
    unused: int
    too_old: int = 0


def sweep(now: datetime, *, limit: int = 500) -> Swept:
    """Clear away broken-off writes and up to `limit` unused files. Harmless when several processes do it at once."""
    unfinished = open_storage().remove_unfinished(before=now - UNFINISHED_AFTER)
    forget_uploads(now)
    return Swept(
        unfinished=unfinished, unused=remove_unused(now, limit=limit), too_old=remove_too_old(now, limit=limit)
    )


def forget_uploads(now: datetime) -> None:
    """Keys that expired a month ago, and uploads of that age that came to nothing."""
    before = now - FORGOTTEN_AFTER
    UploadKey.objects.filter(expires_at__lt=before).delete()
    Upload.objects.filter(state__in=[Upload.State.EXPIRED, Upload.State.REFUSED], created_at__lt=before).delete()


def remove_unused(now: datetime, *, limit: int = 500) -> int:
    """Remove what nothing refers to and nobody asked for as long as the rules say (UNUSED_ASSET_DAYS); how many."""
    count = 0
    for candidates, before in retention.find_unused(retention.without_holds(_unreferenced()), now):
        left = max(limit - count, 0)
        count += sum(remove_asset(asset, unused_since=before) for asset in candidates.order_by("last_used_at")[:left])
    return count


def remove_too_old(now: datetime, *, limit: int = 500) -> int:
    """Take away the files that passed the greatest age of their rule. Where a task refers to one, its row stays."""
    count = 0
    for candidates in retention.find_too_old(retention.without_holds(Asset.objects.all()), now):
        for asset in candidates.order_by("created_at")[: max(limit - count, 0)]:
            count += remove_asset(asset) or _remove_file(asset, now)
    return count


def _remove_file(asset: Asset, now: datetime) -> bool:
    """The row first: a crash in between leaves a file that `find_orphans` shows."""
    rows = retention.without_holds(Asset.objects.filter(pk=asset.pk, removed_at=None))
    with transaction.atomic():
        removed = Asset.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).update(removed_at=now)
    if removed:
        _delete_file(asset)
    return bool(removed)


def remove_asset(asset: Asset, *, unused_since: datetime | None = None) -> bool:
    """Remove row, then file. False when something refers to it or holds it, or it was asked for after `unused_since`.

    A crash in between leaves a file without a row, which `find_orphans` shows.
    """
    rows = retention.without_holds(Asset.objects.filter(pk=asset.pk))
    if unused_since is not None:
        rows = rows.filter(last_used_at__lt=unused_since)
    try:
        with transaction.atomic():
            if not (found := list(rows.values_list("pk", flat=True))):
                return False  # MySQL does not delete from a table that the condition reads as well
            count, _ = Asset.objects.filter(pk__in=found).delete()
    except (ProtectedError, IntegrityError):
        return False
    if not count:
        return False
    _delete_file(asset)
    return True


def _delete_file(asset: Asset) -> None:
    if not Asset.objects.filter(sha256=asset.sha256, removed_at=None).exists():
        thumbnail_path(asset).unlink(missing_ok=True)
    try:
        open_storage().delete(asset.object_key)
    except StorageError:
        log.warning("the file %s outlived its row", asset.object_key, exc_info=True)


def find_orphans(now: datetime) -> Iterator[StoredFile]:
    """Files without a row, at least a day old: left by a crash, or by a database put back from a backup."""
    files = (
        file for file in open_storage().iter_files(settings.OSS_ROOT_PREFIX) if file.modified_at < now - ORPHAN_AFTER
    )
    while batch := list(islice(files, 500)):
        names = [file.key for file in batch]
        known = set(Asset.objects.filter(object_key__in=names, removed_at=None).values_list("object_key", flat=True))
        open_states = [Upload.State.GRANTED, Upload.State.RECEIVING, Upload.State.RECEIVED]
        known |= set(
            Upload.objects.filter(object_key__in=names, state__in=open_states).values_list("object_key", flat=True)
        )
        yield from (file for file in batch if file.key not in known)


def remove_orphans(now: datetime) -> int:
    """Remove them; for an operator who looked at the list first. Folders of users under a legal hold are left alone."""
    storage, count = open_storage(), 0
    held = {keys.owner_folder(owner_id) for owner_id in retention.held_owners()}
    for file in find_orphans(now):
        if held.intersection(file.key.split("/")[:-1]):
            continue
        storage.delete(file.key)
        count += 1
    return count


def _unreferenced() -> QuerySet[Asset]:
    """Assets no row points at. Whoever does keeps the asset, without media knowing who that is.

    A key that is set null on delete says that its row does without: it keeps nothing.
    """
    found = Asset.objects.all()
    for relation in Asset._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and not relation.many_to_many:
            if relation.on_delete is SET_NULL:
                continue
            rows = relation.field.model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            found = found.filter(~Exists(rows))
    return found
