"""What a caller may give as a callback: checked when it is submitted, so that mistakes show at once and not at the end.

Where the name really leads is checked again at every attempt, by `podi.base.http`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from podi.base import http as outbound
from podi.base.errors import UrlForbidden
from podi.events.errors import CallbackHeadersInvalid, CallbackUrlInvalid

MAX_URL_CHARS = 512
MAX_HEADERS = 20
MAX_HEADERS_BYTES = 4096
MAX_VALUE_CHARS = 1024
OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "keep-alive", "upgrade", "te"}
    | {"trailer", "expect", "user-agent", "accept-encoding", "proxy-authorization", "proxy-connection"}
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


def check_callback(url: str, headers: Mapping[str, str]) -> None:
    """Refuse an address or headers that could never work or never be allowed. No lookup is made.

    Raises CallbackUrlInvalid, UrlForbidden (a private address written out), CallbackHeadersInvalid.
    """
    _check_url(url)
    _check_headers(headers)


def _check_url(url: str) -> None:
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise CallbackUrlInvalid
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise CallbackUrlInvalid from None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise CallbackUrlInvalid
    if host == "localhost" or host.endswith(".localhost"):
        url = f"{parts.scheme}://127.0.0.1/"
    try:
        outbound.check_url(url, allowed_networks=settings.FETCH_ALLOWED_NETWORKS)
    except outbound.InvalidUrl:
        raise CallbackUrlInvalid from None
    except outbound.Forbidden:
        raise UrlForbidden from None


def _check_headers(headers: Mapping[str, str]) -> None:
    fields: dict[str, str | Promise] = {}
    for name, value in headers.items():
        if problem := _header_problem(name, value):
            fields[str(name)[:64]] = problem
    if fields:
        raise CallbackHeadersInvalid(fields=fields)
    size_bytes = sum(len(name) + len(value) for name, value in headers.items())
    if len(headers) > MAX_HEADERS or size_bytes > MAX_HEADERS_BYTES:
        raise CallbackHeadersInvalid(gettext_lazy("Send at most 20 callback headers with 4096 characters in all."))


def _header_problem(name: object, value: object) -> str | None:
    if not isinstance(name, str) or not isinstance(value, str):
        return _("Names and values of headers are text.")
    if not _NAME.fullmatch(name):
        return _("This is not a header name.")
    if name.lower() in OWN_HEADERS or name.lower().startswith("webhook-"):
        return _("PODI sets this header itself.")
    if len(value) > MAX_VALUE_CHARS or not _VALUE.fullmatch(value):
        return _("A header value is at most 1024 printable ASCII characters on one line.")
    return None
