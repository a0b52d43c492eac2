"""Expiring signed links to stored files: `<PUBLIC_URL>/files/<key>?expires=<unix seconds>&signature=<hmac>`.

Signed with Django's Signer, so SECRET_KEY_FALLBACKS lets a key be changed without breaking open links.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from django.conf import settings
from django.core.signing import BadSignature, Signer

from media.errors import FileLinkExpired, FileLinkInvalid

PATH = "/files/"
_EXPIRES = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, kw_only=True)
class Link:
    """The parts of a link, not checked yet."""

    key: str
    expires: str
    signature: str


def make_link(key: str, *, ttl_s: int, now: datetime) -> str:
    """An absolute link that holds for `ttl_s` seconds from `now` (aware)."""
    expires = int(now.timestamp()) + ttl_s
    query = urlencode({"expires": expires, "signature": _signer().signature(_message(key, str(expires)))})
    return f"{settings.PUBLIC_URL}{PATH}{quote(key)}?{query}"


def check_link(link: Link, *, now: datetime) -> None:
    """Raises FileLinkInvalid for anything that we did not sign, FileLinkExpired for what we did."""
    message = _message(link.key, link.expires)
    try:
        _signer().unsign(f"{message}:{link.signature}")
    except BadSignature:
        raise FileLinkInvalid() from None
    if not _EXPIRES.fullmatch(link.expires):
        raise FileLinkInvalid()
    if int(link.expires) <= now.timestamp():
        raise FileLinkExpired()


def read_link(url: str) -> Link | None:
    """The parts of a link to this PODI; None for any other address."""
    try:
        given, ours = urlsplit(url), urlsplit(settings.PUBLIC_URL)
        same = (given.scheme, given.hostname, given.port) == (ours.scheme, ours.hostname, ours.port)
    except ValueError:
        return None
    path = ours.path + PATH
    if not same or given.username is not None or not given.path.startswith(path):
        return None
    query = parse_qs(given.query)
    return Link(
        key=unquote(given.path.removeprefix(path)),
        expires=query.get("expires", [""])[0],
        signature=query.get("signature", [""])[0],
    )


def _signer() -> Signer:
    return Signer(salt="media.files")


def _message(key: str, expires: str) -> str:
    return f"{key}\n{expires}"
