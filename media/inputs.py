"""What a caller may write where an image is asked for: an http(s) address, a data URL, or bare base64."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from django.utils.translation import gettext as _

from media.errors import ImageBase64Invalid, ImageRequired, ImageTooLarge, ImageUrlInvalid
from podi.base.errors import UrlForbidden

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|(?=[^/]))")
_DATA_URL = re.compile(r"data:(?P<type>[^;,\s]*)(?P<parameters>(;[^;,]*)*),", re.IGNORECASE)
_LINE_BREAKS = str.maketrans("", "", "\r\n\t")


@dataclass(frozen=True, kw_only=True)
class RemoteImage:
    url: str


@dataclass(frozen=True, kw_only=True)
class InlineImage:
    data: bytes


def read_input(value: object, *, field: str, max_bytes: int) -> RemoteImage | InlineImage:
    """Which of the three it is. Raises ImageRequired, ImageUrlInvalid, UrlForbidden, ImageBase64Invalid, ImageTooLarge.

    Only the syntax is looked at; an address is not visited and the bytes may still be no image.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ImageRequired(fields={field: _("An image is required.")})
    if text[:5].lower() == "data:":
        return InlineImage(data=_from_data_url(text, field=field, max_bytes=max_bytes))
    if text[:7].lower() == "http://" or text[:8].lower() == "https://":
        return RemoteImage(url=text)
    if _SCHEME.match(text):
        raise UrlForbidden(fields={field: _("Only http and https addresses are fetched.")})
    if "." in text or " " in text:  # neither is in base64; most likely an address without its scheme, or a sentence
        raise ImageUrlInvalid(fields={field: _("Give an http(s) address, a data URL or base64.")})
    return InlineImage(data=_from_base64(text, field=field, max_bytes=max_bytes))


def _from_data_url(text: str, *, field: str, max_bytes: int) -> bytes:
    head = _DATA_URL.match(text[:512])
    if head is None:
        raise ImageBase64Invalid(fields={field: _("This data URL cannot be read.")})
    content = text[head.end() :]
    if head["parameters"].lower().endswith(";base64"):
        return _from_base64(content.replace("%2B", "+").replace("%2F", "/"), field=field, max_bytes=max_bytes)
    if len(content) > 3 * max_bytes:
        raise _too_large(field, max_bytes)
    data = unquote_to_bytes(content)
    if len(data) > max_bytes:
        raise _too_large(field, max_bytes)
    return data


def _from_base64(text: str, *, field: str, max_bytes: int) -> bytes:
    """Standard or URL-safe alphabet, line breaks allowed, padding optional; anything else is refused."""
    text = text.translate(_LINE_BREAKS).strip().replace("%3D", "=").rstrip("=")
    if len(text) * 3 // 4 > max_bytes:
        raise _too_large(field, max_bytes)
    try:
        data = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ImageBase64Invalid(fields={field: _("This is not valid base64.")}) from None
    if not data:
        raise ImageRequired(fields={field: _("The image is empty.")})
    return data


def _too_large(field: str, max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(
        fields={field: _("The image may have at most %(bytes)d bytes.") % {"bytes": max_bytes}}, max_bytes=max_bytes
    )
