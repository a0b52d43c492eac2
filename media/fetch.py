"""Images and other files from addresses that callers give, under the limits of the settings."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.utils.translation import gettext as _

from media.errors import (
    FileDownloadFailed,
    FileTooLarge,
    FileUrlInvalid,
    ImageDownloadFailed,
    ImageTooLarge,
    ImageUrlInvalid,
)
from podi.base import http
from podi.base.errors import PodiError, UrlForbidden


def download(url: str, *, field: str) -> Iterator[bytes]:
    """The image behind the address. Raises UrlForbidden, ImageUrlInvalid, ImageTooLarge, ImageDownloadFailed."""
    accept = "image/*, */*;q=0.5"
    try:
        yield from _stream(url, timeout_s=settings.FETCH_TIMEOUT_S, max_bytes=settings.FETCH_MAX_BYTES, accept=accept)
    except _BadStatus as error:
        raise ImageDownloadFailed(fields={field: error.sentence}, http_status=error.status) from error
    except http.OutboundError as error:
        raise _translate(error, field=field) from error


def download_file(url: str, *, field: str, max_bytes: int, timeout_s: float) -> Iterator[bytes]:
    """Any file behind the address. Raises UrlForbidden, FileUrlInvalid, FileTooLarge, FileDownloadFailed."""
    try:
        yield from _stream(url, timeout_s=timeout_s, max_bytes=max_bytes, accept="*/*")
    except _BadStatus as error:
        raise FileDownloadFailed(fields={field: error.sentence}, http_status=error.status) from error
    except http.OutboundError as error:
        raise _translate_of_file(error, field=field, max_bytes=max_bytes) from error


class _BadStatus(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
        self.sentence = _("The address answered with status %(status)d.") % {"status": status}


def _stream(url: str, *, timeout_s: float, max_bytes: int, accept: str) -> Iterator[bytes]:
    with http.open_url(
        url,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
        max_redirects=settings.FETCH_MAX_REDIRECTS,
        allowed_networks=settings.FETCH_ALLOWED_NETWORKS,
        headers={"Accept": accept},
    ) as answer:
        if answer.status != 200:
            raise _BadStatus(answer.status)
        yield from answer.iter_bytes()


def check_address(url: str, *, field: str) -> None:
    """What can be refused without going there. Raises UrlForbidden or ImageUrlInvalid."""
    try:
        http.check_url(url, allowed_networks=settings.FETCH_ALLOWED_NETWORKS)
    except http.OutboundError as error:
        raise _translate(error, field=field) from error


def check_file_address(url: str, *, field: str) -> None:
    """The same for any file. Raises UrlForbidden or FileUrlInvalid."""
    try:
        http.check_url(url, allowed_networks=settings.FETCH_ALLOWED_NETWORKS)
    except http.OutboundError as error:
        raise _translate_of_file(error, field=field, max_bytes=0) from error


def _translate_of_file(error: http.OutboundError, *, field: str, max_bytes: int) -> PodiError:
    match error:
        case http.InvalidUrl():
            return FileUrlInvalid(fields={field: _("This is not a valid address.")})
        case http.Forbidden():
            return UrlForbidden(fields={field: _("PODI does not fetch this address.")})
        case http.TooLarge():
            sentence = _("The file may have at most %(bytes)d bytes.") % {"bytes": max_bytes}
            return FileTooLarge(fields={field: sentence}, max_bytes=max_bytes)
        case http.TimedOut():
            return FileDownloadFailed(fields={field: _("The download took too long.")})
        case http.Unreachable():
            return FileDownloadFailed(fields={field: _("The address cannot be reached.")})
        case _:
            return FileDownloadFailed(fields={field: _("The download broke off or cannot be read.")})


def _translate(error: http.OutboundError, *, field: str) -> PodiError:
    match error:
        case http.InvalidUrl():
            return ImageUrlInvalid(fields={field: _("This is not a valid address.")})
        case http.Forbidden():
            return UrlForbidden(fields={field: _("PODI does not fetch this address.")})
        case http.TooLarge():
            limit = settings.FETCH_MAX_BYTES
            sentence = _("The image may have at most %(bytes)d bytes.") % {"bytes": limit}
            return ImageTooLarge(fields={field: sentence}, max_bytes=limit)
        case http.TimedOut():
            return ImageDownloadFailed(fields={field: _("The download took too long.")})
        case http.Unreachable():
            return ImageDownloadFailed(fields={field: _("The address cannot be reached.")})
        case _:
            return ImageDownloadFailed(fields={field: _("The download broke off or cannot be read.")})
