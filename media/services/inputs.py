"""Images that callers give: fetched or decoded under limits, decoded to the last pixel, and kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from media import fetch, images, keys, links
from media.errors import (
    AssetTooLarge,
    FileLinkExpired,
    FileLinkInvalid,
    ImageFormatUnsupported,
    ImageNotReadable,
    ImageTooLarge,
    ImageTooManyPixels,
    ImageTruncated,
    ImageUrlInvalid,
)
from media.inputs import InlineImage, RemoteImage, read_input
from media.models import Asset
from media.services.reading import find_asset, may_use
from media.services.storing import About, keep_draft, touch
from media.spool import Draft, Source, spool
from media.storage import open_storage
from podi.base.errors import PodiError, UrlForbidden
from podi.base.models import User


def take_input(value: str, *, owner: User | None, field: str) -> Asset:
    """The image a caller gave, kept: an http(s) address, a data URL or bare base64.

    It is fetched or decoded under the limits of the settings and must be an intact image of a supported format. A link
    of our own is resolved without HTTP, and only for one's own files. Every error names `field`: ImageRequired,
    ImageUrlInvalid, UrlForbidden, ImageBase64Invalid, ImageDownloadFailed, ImageTooLarge, ImageTooManyPixels,
    ImageNotReadable, ImageTruncated, ImageFormatUnsupported; and AssetStoreFailed without one.
    """
    given = read_input(value, field=field, max_bytes=settings.FETCH_MAX_BYTES)
    if isinstance(given, InlineImage):
        source: Source = given.data
        file_name = ""
    else:
        if links.read_link(given.url) is not None:
            return _take_own(_asset_behind(given, field=field), owner=owner, field=field)
        if (key := open_storage().key_of_url(given.url)) is not None:
            return _take_own(_asset_in_store(key, owner=owner, field=field), owner=owner, field=field)
        source = fetch.download(given.url, field=field)
        file_name = keys.file_name_of(given.url.partition("?")[0])
    with _spool_image(source, field=field) as draft:
        facts = _check_image(draft.file, field=field)
        return keep_draft(draft, About.of_image(facts), owner=owner, kind="input", file_name=file_name)


def check_input(value: str, *, field: str) -> None:
    """The checks of `take_input` that need neither a visit nor the storage, with the same errors."""
    given = read_input(value, field=field, max_bytes=settings.FETCH_MAX_BYTES)
    if isinstance(given, InlineImage):
        _check_image(io.BytesIO(given.data), field=field)
    elif links.read_link(given.url) is not None:
        _asset_behind(given, field=field)
    elif open_storage().key_of_url(given.url) is None:
        fetch.check_address(given.url, field=field)


def _take_own(asset: Asset, *, owner: User | None, field: str) -> Asset:
    if not may_use(owner, asset):
        raise UrlForbidden(fields={field: _("This file belongs to somebody else.")})
    if asset.width is None or asset.height is None:
        raise ImageNotReadable(fields={field: _("This file is not an image.")})
    if asset.removed_at is not None or not touch(asset):
        raise ImageUrlInvalid(fields={field: _("This file no longer exists.")})
    return asset


def _asset_behind(given: RemoteImage, *, field: str) -> Asset:
    """The asset of a link of our own, whoever it belongs to."""
    link = links.read_link(given.url)
    if link is None:
        raise ImageUrlInvalid(fields={field: _("This is not a link of PODI.")})
    try:
        links.check_link(link, now=timezone.now())
    except FileLinkExpired:
        raise ImageUrlInvalid(fields={field: _("This link has expired. Ask PODI for it again.")}) from None
    except FileLinkInvalid:
        raise UrlForbidden(fields={field: _("This link of PODI was altered.")}) from None
    asset = Asset.objects.filter(object_key=link.key).first()
    if asset is None:
        raise ImageUrlInvalid(fields={field: _("This file no longer exists.")})
    return asset


def _asset_in_store(key: str, *, owner: User | None, field: str) -> Asset:
    """The file behind an address of the store, signed or not: whose it is decides, so only one's own are found."""
    try:
        asset = find_asset(key, actor=owner)
    except PodiError as error:
        raise ImageUrlInvalid(fields={field: error.text}, reason=error.code) from error
    if asset is None:
        raise UrlForbidden(fields={field: _("You have no file of this name.")})
    return asset


@contextmanager
def _spool_image(source: Source, *, field: str) -> Iterator[Draft]:
    limit = settings.FETCH_MAX_BYTES
    try:
        with spool(source, max_bytes=limit) as draft:
            yield draft
    except AssetTooLarge as error:
        sentence = _("The image may have at most %(bytes)d bytes.") % {"bytes": limit}
        raise ImageTooLarge(fields={field: sentence}, max_bytes=limit) from error


def _check_image(file: BinaryIO, *, field: str) -> images.ImageFacts:
    limit = settings.MAX_IMAGE_PIXELS
    try:
        return images.check(file, max_pixels=limit)
    except images.ImageProblem as error:
        raise _refusal(error, field=field, max_pixels=limit) from error


def _refusal(error: images.ImageProblem, *, field: str, max_pixels: int) -> PodiError:
    match error:
        case images.TooManyPixels():
            sentence = _("The image may have at most %(pixels)d pixels.") % {"pixels": max_pixels}
            return ImageTooManyPixels(fields={field: sentence}, max_pixels=max_pixels)
        case images.TruncatedImage():
            return ImageTruncated(fields={field: _("The image is cut off.")})
        case images.UnsupportedFormat(content_type=content_type):
            sentence = _("%(type)s is not supported; send PNG, JPEG, WebP, GIF, TIFF or BMP.") % {"type": content_type}
            return ImageFormatUnsupported(fields={field: sentence})
        case _:
            return ImageNotReadable(fields={field: _("This is not an image, or it is damaged.")})
