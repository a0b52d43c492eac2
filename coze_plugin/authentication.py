"""Who may call: the holder of SERVICE_API_TOKEN, or somebody whose address is in COZE_TRUSTED_IPS. Nothing else.

The address is the socket's peer; X-Forwarded-For counts only as far as TRUSTED_PROXIES vouch for it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from coze_plugin.errors import InternalOnly
from coze_plugin.models import Tool
from podi.base.addresses import client_address, is_within


@dataclass(frozen=True, kw_only=True)
class Caller:
    address: str
    has_token: bool


def authenticate(request: HttpRequest) -> Caller:
    """Raises InternalOnly."""
    address = client_address(request.META)
    if _is_service_token(request.META.get("HTTP_AUTHORIZATION", "")):
        return Caller(address=address, has_token=True)
    if is_within(address, settings.COZE_TRUSTED_IPS):
        return Caller(address=address, has_token=False)
    raise InternalOnly()


def check_tool(caller: Caller, tool: Tool) -> None:
    """The tool's own allow-list, which holds for the token too. Raises InternalOnly."""
    if not tool.is_exposed:
        raise InternalOnly(_("This tool is not offered to Coze. An operator can switch it on."))
    if tool.allowed_networks and not is_within(caller.address, tool.allowed_networks):
        raise InternalOnly(_("This tool may not be used from this address."))


def _is_service_token(header: str) -> bool:
    """`Bearer <token>`. Coze sends what its form was given, so the bare token counts as well."""
    expected: str = settings.SERVICE_API_TOKEN
    scheme, _space, text = header.strip().partition(" ")
    given = text.strip() if scheme.lower() == "bearer" else header.strip()
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
