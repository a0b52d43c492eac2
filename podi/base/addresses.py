"""Where a call comes from: the peer of the socket, and X-Forwarded-For only as far as our own proxies vouch for it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(meta: Mapping[str, Any]) -> str:
    """The caller's address from a WSGI-style `META` (`REMOTE_ADDR`, `HTTP_X_FORWARDED_FOR`); "" when it is unknown.

    X-Forwarded-For is read from the right, and only while the hop that wrote it is in TRUSTED_PROXIES, so a caller
    can not invent an address.
    """
    address = parse_address(str(meta.get("REMOTE_ADDR", "")))
    hops = [hop.strip() for hop in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",") if hop.strip()]
    while address is not None and hops and is_within(address, settings.TRUSTED_PROXIES):
        address = parse_address(hops.pop())
    return "" if address is None else str(address)


def parse_address(text: str) -> Address | None:
    """An IP address, with or without a port; an IPv4 address in IPv6 clothes becomes IPv4. None when it is neither."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def is_within(address: Address | str | None, networks: Iterable[str]) -> bool:
    """Whether the address lies in one of these addresses or CIDR ranges. An unknown address lies nowhere."""
    if isinstance(address, str):
        address = parse_address(address)
    if address is None:
        return False
    return any(address in network for text in networks if (network := parse_network(text)) is not None)


@lru_cache(maxsize=1024)
def parse_network(text: str) -> Network | None:
    """An address or CIDR range; None when it is neither."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
