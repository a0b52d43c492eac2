"""What `manage.py check` says about the environment: variables without effect, and settings that are dangerous.

The ids are stable, so that SILENCED_SYSTEM_CHECKS may name them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from podi import env
from podi.base.addresses import parse_network

MIN_TOKEN_CHARS = 32


@register(Tags.security)
def check_access_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [*_check_public_address(), *_check_proxies(), *_check_secrets()]


def _check_public_address() -> Iterator[CheckMessage]:
    address = urlsplit(settings.PUBLIC_URL)
    host = address.hostname or ""
    if not host or address.scheme not in {"http", "https"}:
        yield Error("PODI_PUBLIC_URL is not an http(s) address.", id="podi.E011")
        return
    if is_private_host(host):
        return
    if settings.DEBUG:
        yield Error(
            "DEBUG is on while PODI_PUBLIC_URL names a public host.",
            hint="Error pages show settings and source. Set DEBUG=0.",
            id="podi.E012",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Warning(
            "ALLOWED_HOSTS accepts every host name.",
            hint="Name the host of PODI_PUBLIC_URL, else links can be forged through the Host header.",
            id="podi.W011",
        )
    if address.scheme == "http":
        yield Warning(
            "PODI_PUBLIC_URL is plain http on a public host: tokens and passwords travel readable.",
            hint="Put a TLS proxy in front and use https.",
            id="podi.W012",
        )
        return
    if not settings.SECURE_PROXY_SSL_HEADER:
        yield Warning(
            "PODI_PUBLIC_URL is https, but no proxy is trusted: Django takes every request for http.",
            hint="Name the proxy in TRUSTED_PROXIES and let it set X-Forwarded-Proto.",
            id="podi.W013",
        )
    if not (settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE):
        yield Warning(
            "Cookies are also sent over plain http (SESSION_COOKIE_SECURE, CSRF_COOKIE_SECURE).", id="podi.W014"
        )


def _check_proxies() -> Iterator[CheckMessage]:
    for text in settings.TRUSTED_PROXIES:
        network = parse_network(text)
        if network is None:
            yield Error(f"TRUSTED_PROXIES: {text!r} is not an address or CIDR range.", id="podi.E013")
        elif network.prefixlen == 0:
            yield Error(
                f"TRUSTED_PROXIES: {text!r} is everybody, so anybody can invent the address they come from.",
                id="podi.E014",
            )


def _check_secrets() -> Iterator[CheckMessage]:
    if settings.SERVICE_API_TOKEN and len(settings.SERVICE_API_TOKEN) < MIN_TOKEN_CHARS:
        yield Warning("SERVICE_API_TOKEN is shorter than 32 characters; it can do everything.", id="podi.W015")
    named = {
        "SECRET_KEY": settings.SECRET_KEY,
        "JWT_SECRET_KEY": settings.JWT_SECRET_KEY,
        "UPLOAD_TOKEN_SECRET": settings.UPLOAD_TOKEN_SECRET,
        "SERVICE_API_TOKEN": settings.SERVICE_API_TOKEN,
    }
    values = [value for value in named.values() if value]
    if len(set(values)) != len(values):
        same = sorted(name for name, value in named.items() if value and values.count(value) > 1)
        yield Error(f"One secret serves two purposes: {', '.join(same)}.", id="podi.E015")


def is_private_host(host: str) -> bool:
    """Whether this host name is only reachable from inside: loopback, private ranges, bare and internal names."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan", ".test", ".home.arpa"))


@register()
def check_environment(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """A variable that is set and ignored costs somebody a day."""
    return [
        Warning(f"The environment variable {name} has no effect.", hint=hint, id="podi.W010")
        for name, hint in env.find_ignored()
    ]
