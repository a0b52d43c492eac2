"""Under which address Coze reaches us: what the operator says, else how the document itself was asked for."""

from __future__ import annotations

import re
from typing import Final

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from django.templatetags.static import static

from podi.base.addresses import is_within, parse_address

_HOST: Final = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def server_url(request: HttpRequest) -> str:
    """COZE_SERVER_URL; else X-Forwarded-Proto and -Host of a proxy of ours, or Host; else PODI's own address.

    A host that ALLOWED_HOSTS does not know names nothing here: a document must not send Coze elsewhere.
    """
    if settings.COZE_SERVER_URL:
        return str(settings.COZE_SERVER_URL)
    forwarded_host = forwarded_scheme = ""
    if is_within(parse_address(str(request.META.get("REMOTE_ADDR", ""))), settings.TRUSTED_PROXIES):
        forwarded_host = _last(request.META.get("HTTP_X_FORWARDED_HOST", ""))
        forwarded_scheme = _last(request.META.get("HTTP_X_FORWARDED_PROTO", "")).lower()
    try:
        host = forwarded_host or request.get_host()
    except DisallowedHost:
        host = ""
    if not _is_ours(host):
        return str(settings.PUBLIC_URL)
    scheme = forwarded_scheme if forwarded_scheme in {"http", "https"} else request.scheme or "http"
    return f"{scheme}://{host}"


def sample_url(server: str, name: str) -> str:
    """The absolute address of a sample file of ours."""
    found = static(f"coze_plugin/{name}")
    return found if found.startswith("http") else server + found


def _is_ours(host: str) -> bool:
    domain, _port = split_domain_port(host)
    allowed = settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
    return bool(_HOST.fullmatch(host)) and bool(domain) and validate_host(domain, allowed)


def _last(header: str) -> str:
    """Of a list the last entry, which our own proxy wrote."""
    return header.rpartition(",")[2].strip()
