"""System checks: settings of the Coze door that would silently do nothing."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from podi.base.addresses import parse_network


@register
def check_trusted_addresses(**kwargs: Any) -> list[CheckMessage]:
    return [
        Warning(f"COZE_TRUSTED_IPS: {text!r} is neither an address nor a CIDR range and trusts nobody.", id="coze.W001")
        for text in settings.COZE_TRUSTED_IPS
        if parse_network(text) is None
    ]


@register
def check_open_networks(**kwargs: Any) -> list[CheckMessage]:
    """A whole internet of trusted callers is a mistake somebody made while trying things out."""
    found = [(text, parse_network(text)) for text in settings.COZE_TRUSTED_IPS]
    return [
        Warning(f"COZE_TRUSTED_IPS: {text} lets everybody call every tool without a token.", id="coze.W002")
        for text, network in found
        if network is not None and network.prefixlen == 0
    ]
