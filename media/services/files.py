"""Files that callers name by an address: films and sounds beside pictures, fetched under limits and kept."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from media import fetch, images, keys, links
from media.content_types import UNKNOWN, sniff
from media.errors import (
    AssetTooLarge,
    FileLinkExpired,
    FileLinkInvalid,
    FileTooLarge,
    FileTypeUnsupported,
    FileUrlInvalid,
)
from media.models import Asset
from media.services.reading import may_use
from media.services.storing import About, keep_draft, touch
from media.spool import Draft, spool
from podi.base.errors import UrlForbidden
from podi.base.models import User


def take_file(
    url: str,
    *,
    owner: User | None,
    field: str,
    kinds: Collection[str],
    max_bytes: int | None = None,
    timeout_s: float | None = None,
) -> Asset:
    """The file behind an http(s) address, kept. `kinds`: which of "image", "video", "audio" its bytes may be.

    An image must be intact, as everywhere; of a film or a sound only its beginning is looked at. A link of our own is
    resolved without HTTP, and only for one's own files. `max_bytes` and `timeout_s` can only be smaller than the
    settings' (FETCH_MAX_MEDIA_BYTES, FETCH_MEDIA_TIMEOUT_S). Every error names `field`: FileUrlInvalid, UrlForbidden,
    FileDownloadFailed, FileTooLarge, FileTypeUnsupported; and AssetStoreFailed without one.
    """
    limit = min(max_bytes if max_bytes is not None else settings.FETCH_MAX_MEDIA_BYTES, settings.FETCH_MAX_MEDIA_BYTES)
    seconds = min(timeout_s or settings.FETCH_MEDIA_TIMEOUT_S, settings.FETCH_MEDIA_TIMEOUT_S)
    if links.read_link(url) is not None:
        return _take_own(url, owner=owner, field=field, kinds=kinds, max_bytes=limit)
    source = fetch.download_file(url, field=field, max_bytes=limit, timeout_s=seconds)
    try:
        with spool(source, max_bytes=limit) as draft:
            about = _look_into(draft, field=field, kinds=kinds)
            name = keys.file_name_of(url.partition("?")[0])
            return keep_draft(draft, about, owner=owner, kind="input", file_name=name)
    except AssetTooLarge as error:
        raise _too_large(field, limit) from error


def check_file(url: str, *, field: str) -> None:
    """The checks of `take_file` that need neither a visit nor the storage, with the same errors."""
    if links.read_link(url) is not None:
        _asset_behind(url, field=field)
    elif url[:7].lower() == "http://" or url[:8].lower() == "https://":
        fetch.check_file_address(url, field=field)
    elif "://" in url or url[:5].lower() in ("data:", "file:"):
        raise UrlForbidden(fields={field: _("Only http and https addresses are fetched.")})
    else:
        raise FileUrlInvalid(fields={field: _("Give an http(s) address.")})


def _take_own(url: str, *, owner: User | None, field: str, kinds: Collection[str], max_bytes: int) -> Asset:
    asset = _asset_behind(url, field=field)
    if not may_use(owner, asset):
        raise UrlForbidden(fields={field: _("This file belongs to somebody else.")})
    _check_kind(asset.content_type, field=field, kinds=kinds)
    if asset.size_bytes > max_bytes:
        raise _too_large(field, max_bytes)
    if not touch(asset):
        raise FileUrlInvalid(fields={field: _("This file no longer exists.")})
    return asset


def _asset_behind(url: str, *, field: str) -> Asset:
    """The asset of a link of our own, whoever it belongs to."""
    link = links.read_link(url)
    if link is None:
        raise FileUrlInvalid(fields={field: _("This is not a link of PODI.")})
    try:
        links.check_link(link, now=timezone.now())
    except FileLinkExpired:
        raise FileUrlInvalid(fields={field: _("This link has expired. Ask PODI for it again.")}) from None
    except FileLinkInvalid:
        raise UrlForbidden(fields={field: _("This link of PODI was altered.")}) from None
    asset = Asset.objects.filter(object_key=link.key).first()
    if asset is None:
        raise FileUrlInvalid(fields={field: _("This file no longer exists.")})
    return asset


def _look_into(draft: Draft, *, field: str, kinds: Collection[str]) -> About:
    content_type = sniff(draft.head) if draft.size_bytes else UNKNOWN
    _check_kind(content_type, field=field, kinds=kinds)
    if not content_type.startswith("image/"):
        return About(content_type=content_type)
    try:
        return About.of_image(images.check(draft.file, max_pixels=settings.MAX_IMAGE_PIXELS))
    except images.TooManyPixels as error:
        sentence = _("The image may have at most %(pixels)d pixels.") % {"pixels": settings.MAX_IMAGE_PIXELS}
        raise FileTooLarge(fields={field: sentence}) from error
    except images.ImageProblem as error:
        raise FileTypeUnsupported(fields={field: _("The image is damaged, cut off or of another format.")}) from error


def _check_kind(content_type: str, *, field: str, kinds: Collection[str]) -> None:
    if content_type.partition("/")[0] not in kinds:
        sentence = _("Must be of one of these kinds: %(kinds)s; it is %(found)s.")
        raise FileTypeUnsupported(fields={field: sentence % {"kinds": ", ".join(kinds), "found": content_type}})


def _too_large(field: str, max_bytes: int) -> FileTooLarge:
    sentence = _("The file may have at most %(bytes)d bytes.") % {"bytes": max_bytes}
    return FileTooLarge(fields={field: sentence}, max_bytes=max_bytes)
