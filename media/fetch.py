"""Images from addresses that callers give, under the limits of the settings."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.utils.translation import gettext as _

from media.errors import ImageDownloadFailed, ImageTooLarge, ImageUrlInvalid
from podi.base import http
from podi.base.errors import PodiError, UrlForbidden


def download(url: str, *, field: str) -> Iterator[bytes]:
    """The bytes behind the address. Raises UrlForbidden, ImageUrlInvalid, ImageTooLarge, ImageDownloadFailed."""
    try:
        with http.open_url(
            url,
            timeout_s=settings.FETCH_TIMEOUT_S,
            max_bytes=settings.FETCH_MAX_BYTES,
            max_redirects=settings.FETCH_MAX_REDIRECTS,
            allowed_networks=settings.FETCH_ALLOWED_NETWORKS,
            headers={"Accept": "image/*, */*;q=0.5"},
        ) as answer:
            if answer.status != 200:
                raise ImageDownloadFailed(
                    fields={field: _("The address answered with status %(status)d.") % {"status": answer.status}},
                    http_status=answer.status,
                )
            yield from answer.iter_bytes()
    except http.OutboundError as error:
        raise _translate(error, field=field) from error


def check_address(url: str, *, field: str) -> None:
    """What can be refused without going there. Raises UrlForbidden or ImageUrlInvalid."""
    try:
        http.check_url(url, allowed_networks=settings.FETCH_ALLOWED_NETWORKS)
    except http.OutboundError as error:
        raise _translate(error, field=field) from error


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
