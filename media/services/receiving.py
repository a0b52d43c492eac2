"""Files that arrive: through our own address, or in OSS, told by its callback or found when somebody asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.utils import timezone

from media.content_types import sniff
from media.errors import (
    AssetTooLarge,
    ImageTooManyPixels,
    MediaUploadUnauthorized,
    OutputNotReadable,
    UploadNotReadable,
    UploadTooLarge,
    UploadTypeNotAllowed,
)
from media.models import Asset, Upload
from media.services import own_form
from media.services.granting import is_allowed_type
from media.services.storing import About, keep_draft, look_into
from media.services.upload_keys import check_not_blocked
from media.spool import Draft, Source, spool
from media.storage import open_storage
from media.storage.base import NoSuchFile, StorageError
from podi.base.errors import PodiError

log = logging.getLogger(__name__)
State = Upload.State

CLAIM_S = 300
KIND = "upload"
VANISHED_AFTER = timedelta(days=1)
"""OSS told us of it, and it has not been there for so long."""


def find_own_upload(policy: str, signature: str, *, key: str | None = None) -> Upload:
    """The unused upload that a form of our own address is for. Raises MediaUploadUnauthorized, UploadBlocked."""
    upload = own_form.find_upload(policy, signature)
    check_not_blocked(upload.owner_id)
    if key is not None and key != upload.object_key:
        raise MediaUploadUnauthorized(reason="invalid")
    if upload.state != State.GRANTED:
        raise MediaUploadUnauthorized(reason="used")
    return upload


def receive(upload: Upload, source: Source) -> Upload:
    """Take the one file of an upload to our own address and keep it.

    Of several at once one is taken. What is wrong with the file (UploadTooLarge, UploadTypeNotAllowed,
    UploadNotReadable, ImageTooManyPixels) ends the upload; after AssetStoreFailed the same form works again. A crash
    in between ends it too: the caller asks for a new one.
    """
    claimed = Upload.objects.filter(pk=upload.pk, state=State.GRANTED, expires_at__gt=timezone.now())
    if not claimed.update(state=State.RECEIVING):
        raise MediaUploadUnauthorized(reason="used")
    try:
        with _spool(source, upload) as draft:
            asset = _keep(draft, upload, is_stored=False)
    except PodiError as error:
        _end_badly(upload, error, again=State.GRANTED)
        raise
    _finish(upload, asset, size_bytes=asset.size_bytes)
    return upload


def adopt(upload: Upload) -> Asset | None:
    """Look into a file that lies in OSS, and record it. None when it is not there yet or somebody else is at it.

    The caller's faults raise as in `receive`, and the object is removed then.
    """
    if upload.state == State.KEPT:
        return upload.asset
    if upload.method == Upload.Method.DIRECT or not _claim(upload):
        return None
    storage = open_storage()
    try:
        found = storage.stat(upload.object_key)
        if found is None:
            _release(upload)
            return None
        if found.size_bytes > upload.max_bytes:
            raise UploadTooLarge(max_bytes=upload.max_bytes)
        with storage.open(upload.object_key) as file, _spool(file, upload) as draft:
            asset = _keep(draft, upload, is_stored=True)
    except NoSuchFile:
        _release(upload)
        return None
    except (StorageError, OSError) as error:
        log.warning("the upload %s could not be read: %s", upload.pk, error)
        _release(upload)
        return None
    except PodiError as error:
        if _end_badly(upload, error, again=upload.state):
            remove_object(upload.object_key)
        raise
    _finish(upload, asset, size_bytes=found.size_bytes, etag=found.etag)
    return asset


def asset_of_upload(object_key: str) -> Asset | None:
    """The asset an object key was given out for; in OSS it is looked into now where that was not done yet."""
    upload = Upload.objects.select_related("asset", "owner").filter(object_key=object_key).first()
    if upload is None:
        return None
    if upload.state == State.KEPT:
        return upload.asset
    if upload.state not in (State.GRANTED, State.RECEIVED, State.EXPIRED):
        return None
    return adopt(upload)


def work_off_uploads(now: datetime, *, limit: int = 50) -> int:
    """Look into what OSS told us of; end what never came. How many were settled."""
    count = 0
    arrived = Upload.objects.filter(state=State.RECEIVED).select_related("owner", "asset").order_by("received_at")
    late = Upload.objects.filter(state__in=[State.GRANTED, State.RECEIVING], expires_at__lt=now - timedelta(seconds=60))
    for upload in [*arrived[:limit], *late.select_related("owner", "asset").order_by("expires_at")[:limit]]:
        try:
            is_hopeless = upload.state != State.RECEIVED or upload.expires_at < now - VANISHED_AFTER
            if adopt(upload) is None and is_hopeless:
                Upload.objects.filter(pk=upload.pk, state=upload.state).update(state=State.EXPIRED)
        except PodiError as error:
            log.info("the upload %s was refused: %s", upload.pk, error.detail)
        count += 1
    return count


def remove_object(key: str) -> None:
    try:
        open_storage().delete(key)
    except StorageError:
        log.warning("a refused upload is left at %s", key, exc_info=True)


@contextmanager
def _spool(source: Source, upload: Upload) -> Iterator[Draft]:
    try:
        with spool(source, max_bytes=upload.max_bytes) as draft:
            yield draft
    except AssetTooLarge as error:
        raise UploadTooLarge(max_bytes=upload.max_bytes) from error


def _keep(draft: Draft, upload: Upload, *, is_stored: bool) -> Asset:
    about = _look(draft, upload)
    return keep_draft(
        draft,
        about,
        owner=upload.owner,
        kind=KIND,
        file_name=upload.file_name,
        key=upload.object_key,
        is_stored=is_stored,
    )


def _look(draft: Draft, upload: Upload) -> About:
    """The bytes decide what it is; it must be of the agreed main type and one that is taken at all."""
    if draft.size_bytes:
        found = sniff(draft.head, declared=upload.content_type)
        if found.partition("/")[0] != upload.content_type.partition("/")[0] or not is_allowed_type(found):
            raise UploadTypeNotAllowed(agreed=upload.content_type, found=found)
    try:
        return look_into(draft, declared=upload.content_type)
    except OutputNotReadable as error:
        raise UploadNotReadable() from error


def _claim(upload: Upload) -> bool:
    """Compare-and-set: the state is the one we saw, and nobody's claim is running."""
    now = timezone.now()
    rows = Upload.objects.filter(pk=upload.pk, state=upload.state).exclude(claimed_until__gt=now)
    return bool(rows.update(claimed_until=now + timedelta(seconds=CLAIM_S)))


def _release(upload: Upload) -> None:
    Upload.objects.filter(pk=upload.pk, state=upload.state).update(claimed_until=None)


def _finish(upload: Upload, asset: Asset, *, size_bytes: int, etag: str = "") -> None:
    """Whatever happened meanwhile (a callback, a block): the file is kept and the row says so."""
    upload.state, upload.asset, upload.size_bytes, upload.etag = State.KEPT, asset, size_bytes, etag
    upload.received_at = upload.received_at or timezone.now()
    upload.save(update_fields=["state", "asset", "size_bytes", "etag", "received_at"])


def _end_badly(upload: Upload, error: PodiError, *, again: str) -> bool:
    """True when the file is to blame and the upload is over; else it may be tried again."""
    is_over = error.fault == "caller" or isinstance(error, ImageTooManyPixels)
    row = Upload.objects.filter(pk=upload.pk)
    if is_over:
        row.update(state=State.REFUSED, refusal=error.code, claimed_until=None)
    else:
        row.update(state=again, claimed_until=None)
    return is_over
