"""Kept files, read: their bytes, fresh links to them, small pictures of them."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.utils import timezone

from media import images, links
from media.errors import (
    AssetMissing,
    FileLinkExpired,
    FileLinkInvalid,
    FileRemoved,
    MediaDownloadDenied,
    ObjectKeyRequired,
    UploadNotReady,
)
from media.models import Asset, Upload
from media.services.receiving import asset_of_upload
from media.storage import open_storage
from media.storage.base import StorageError
from podi.base.models import User


def open_asset(asset: Asset) -> BinaryIO:
    """The file at byte 0, seekable; the caller closes it. Raises AssetMissing."""
    try:
        return open_storage().open(asset.object_key)
    except StorageError as error:
        raise AssetMissing(asset_id=asset.pk) from error


def url(asset: Asset, *, ttl_s: int | None = None) -> str:
    """A fresh absolute link that expires; make it at every read, never store it. `ttl_s`: else SIGNED_URL_TTL_S."""
    seconds = settings.SIGNED_URL_TTL_S if ttl_s is None else ttl_s
    signed = open_storage().sign_url(
        asset.object_key, ttl_s=seconds, file_name=asset.file_name, content_type=asset.content_type
    )
    return signed or links.make_link(asset.object_key, ttl_s=seconds, now=timezone.now())


def url_of_key(object_key: str, *, actor: User, ttl_s: int) -> str:
    """A link to a file named by its key, which may be the key of an upload: one's own, or any for operators.

    Raises ObjectKeyRequired, MediaDownloadDenied, FileRemoved; UploadNotReady and the refusals of `receiving.adopt`.
    """
    key = object_key.strip()
    if not key:
        raise ObjectKeyRequired()
    asset = find_asset(key, actor=actor)
    if asset is None:
        raise MediaDownloadDenied()
    if asset.removed_at is not None:
        raise FileRemoved()
    return url(asset, ttl_s=ttl_s)


def find_asset(object_key: str, *, actor: User | None) -> Asset | None:
    """The actor's file under this key. An upload that lies in the store is looked into now; None where there is none.

    Raises UploadNotReady for an own upload that is not there yet.
    """
    asset = Asset.objects.filter(object_key=object_key).first()
    if asset is not None:
        return asset if may_use(actor, asset) else None
    upload = Upload.objects.filter(object_key=object_key).first()
    if upload is None or actor is None or not (upload.owner_id == actor.pk or actor.is_staff):
        return None
    asset = asset_of_upload(object_key)
    if asset is None and upload.state in (Upload.State.GRANTED, Upload.State.RECEIVING, Upload.State.RECEIVED):
        raise UploadNotReady()
    return asset


def own_asset_of_url(url: str) -> Asset | None:
    """The asset behind a valid link of our own; None for any other address, and for a forged or expired link."""
    link = links.read_link(url)
    if link is None:
        return None
    try:
        links.check_link(link, now=timezone.now())
    except (FileLinkInvalid, FileLinkExpired):
        return None
    return Asset.objects.filter(object_key=link.key).first()


def may_use(actor: User | None, asset: Asset) -> bool:
    """One's own files; operators may use all; a file of nobody only by nobody."""
    if actor is None:
        return asset.owner_id is None
    return asset.owner_id == actor.pk or actor.is_staff


def thumbnail(asset: Asset) -> bytes:
    """A small WebP, made once and kept beside the files. Raises AssetMissing, images.ImageProblem."""
    path = thumbnail_path(asset)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    with open_asset(asset) as file:
        picture = images.make_thumbnail(file, max_pixels=settings.MAX_IMAGE_PIXELS)
    draft = path.with_name(f".{uuid.uuid4().hex}")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft.write_bytes(picture)
    os.replace(draft, path)
    return picture


def thumbnail_path(asset: Asset) -> Path:
    return Path(settings.MEDIA_FILES_DIR) / ".thumbnails" / asset.sha256[:2] / f"{asset.sha256}.webp"
