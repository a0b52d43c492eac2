"""Keeping files: gathered, looked into, written, read back, and only then recorded."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from media import images, keys
from media.content_types import sniff, suffix_of
from media.errors import AssetStoreFailed, ImageTooManyPixels, OutputNotReadable
from media.models import Asset
from media.spool import CHUNK_BYTES, Draft, Source, spool
from media.storage import open_storage
from media.storage.base import Storage, StorageError
from podi.base.models import User

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class About:
    """What the bytes themselves say."""

    content_type: str
    width: int | None = None
    height: int | None = None
    dpi: float | None = None

    @classmethod
    def of_image(cls, facts: images.ImageFacts) -> About:
        return cls(content_type=facts.content_type, width=facts.width, height=facts.height, dpi=facts.dpi)


def keep(
    source: Source,
    *,
    owner: User | None,
    kind: str = "output",
    file_name: str = "",
    content_type: str = "",
    max_bytes: int | None = None,
) -> Asset:
    """Store a file for good and record it: on return it lies in the storage and was read back, byte for byte.

    The true content type is taken from the bytes; `content_type` is what the source claims. A claimed image or video
    that is none, a damaged image and an empty file are refused. Equal bytes of one owner give the asset that is already
    there. `max_bytes` defaults to MAX_OUTPUT_BYTES. Raises AssetStoreFailed, AssetTooLarge, ImageTooManyPixels,
    OutputNotReadable, and whatever the source raises; nothing is recorded then.
    """
    limit = settings.MAX_OUTPUT_BYTES if max_bytes is None else max_bytes
    with spool(source, max_bytes=limit) as draft:
        about = look_into(draft, declared=content_type)
        return keep_draft(draft, about, owner=owner, kind=kind, file_name=file_name)


def object_key(owner_id: str | None, *, suffix: str, now: datetime | None = None) -> str:
    """A new key under OSS_ROOT_PREFIX for a file of this owner (contract 5.13)."""
    return keys.object_key(owner_id, prefix=settings.OSS_ROOT_PREFIX, suffix=suffix, now=now or timezone.now())


def keep_draft(
    draft: Draft,
    about: About,
    *,
    owner: User | None,
    kind: str,
    file_name: str,
    key: str = "",
    is_stored: bool = False,
) -> Asset:
    """`keep` for bytes that are gathered and looked into already.

    `key`: where the file shall lie, else a new one. `is_stored`: it lies there already and `draft` was read from it;
    where the owner has the same bytes elsewhere, that asset is the answer and the file at `key` is removed.
    """
    owner_id = owner.pk if owner is not None else None
    dedupe_key = f"{owner_id or keys.ANONYMOUS}:{draft.sha256}"
    storage = open_storage()
    # Somebody may store the same bytes, or the sweep remove them, between our look and our step: then look again.
    for _round in range(3):
        existing = Asset.objects.filter(dedupe_key=dedupe_key).first()
        if existing is None:
            place = key or object_key(owner_id, suffix=suffix_of(about.content_type))
            if not is_stored:
                _write_and_read_back(storage, place, draft, content_type=about.content_type)
            asset = Asset(
                owner_id=owner_id,
                object_key=place,
                sha256=draft.sha256,
                size_bytes=draft.size_bytes,
                content_type=about.content_type,
                width=about.width,
                height=about.height,
                dpi=about.dpi,
                file_name=keys.file_name_of(file_name),
                kind=kind,
                dedupe_key=dedupe_key,
            )
            if _record(asset, storage=storage):
                return asset
            is_stored = False  # ours was removed as the second of its kind
        elif touch(existing):
            _mend(storage, existing, draft)
            if is_stored and existing.object_key != key:
                _remove_twin(storage, key)
            return existing
    raise AssetStoreFailed()


def touch(asset: Asset) -> bool:
    """Say that the asset is wanted, which keeps the sweep away. False when the sweep was first and it is gone."""
    return bool(Asset.objects.filter(pk=asset.pk).update(last_used_at=timezone.now()))


def _remove_twin(storage: Storage, key: str) -> None:
    try:
        storage.delete(key)
    except StorageError:
        log.warning("a file that nothing refers to is left at %s", key, exc_info=True)


def _record(asset: Asset, *, storage: Storage) -> bool:
    """False when another process recorded the same bytes first; our copy of the file is removed then.

    A crash before this leaves a file without a row, which `find_orphans` shows.
    """
    try:
        with transaction.atomic():
            asset.save(force_insert=True)
    except IntegrityError:
        if not Asset.objects.filter(object_key=asset.object_key).exists():
            _remove_twin(storage, asset.object_key)
        return False
    return True


def _mend(storage: Storage, asset: Asset, draft: Draft) -> None:
    """Write the file again where the storage has lost it since."""
    try:
        found = storage.stat(asset.object_key)
    except StorageError as error:
        raise AssetStoreFailed() from error
    if found is None or found.size_bytes != asset.size_bytes:
        log.warning("the file of asset %s was missing or damaged; it is written again", asset.pk)
        _write_and_read_back(storage, asset.object_key, draft, content_type=asset.content_type)
        if asset.removed_at is not None:  # its age had ended; it begins anew
            Asset.objects.filter(pk=asset.pk).update(removed_at=None, created_at=timezone.now())


def _write_and_read_back(storage: Storage, key: str, draft: Draft, *, content_type: str) -> None:
    try:
        storage.write(key, draft.iter_chunks(), content_type=content_type)
        digest, size = hashlib.sha256(), 0
        with storage.open(key) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        if (size, digest.hexdigest()) != (draft.size_bytes, draft.sha256):
            storage.delete(key)
            raise StorageError(f"{key} came back different")
    except (StorageError, OSError) as error:
        log.error("storing %s failed: %s", key, error)
        raise AssetStoreFailed() from error


def look_into(draft: Draft, *, declared: str) -> About:
    """What the bytes are. Raises OutputNotReadable, ImageTooManyPixels."""
    if draft.size_bytes == 0:
        raise OutputNotReadable(_("The result is an empty file."))
    content_type = sniff(draft.head, declared=declared)
    if content_type in images.CONTENT_TYPES.values():
        try:
            return About.of_image(images.check(draft.file, max_pixels=settings.MAX_IMAGE_PIXELS))
        except images.TooManyPixels as error:
            raise ImageTooManyPixels(pixels=error.pixels, max_pixels=settings.MAX_IMAGE_PIXELS) from error
        except images.ImageProblem as error:
            raise OutputNotReadable(_("The image is damaged or cut off.")) from error
    claimed = declared.partition("/")[0].strip().lower()
    if claimed in ("image", "video") and not content_type.startswith(f"{claimed}/"):
        sentence = _("The result should be of type %(claimed)s and is %(found)s.")
        raise OutputNotReadable(sentence % {"claimed": claimed, "found": content_type})
    return About(content_type=content_type)
