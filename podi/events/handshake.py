"""Who opens a stream, and what they ask for. Reads the connection's scope; sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.auth import get_user
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from podi.base.access import Access, require_operator, require_scope
from podi.base.addresses import client_address
from podi.base.api.authentication import authenticate_token, read_bearer
from podi.base.errors import AuthorizationRequired, BadRequest, Forbidden
from podi.base.models import User
from podi.events.threads import in_thread

SUBPROTOCOL = "podi.v1"
TOKEN_PROTOCOL = "bearer."
MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a client asks for in its address. `last_event_id` None: from now on."""

    sees_all: bool
    last_event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who follows. `token` is kept so that it can be checked again while the stream is open; "" for a session."""

    user: User
    token: str


def read_wish(scope: Mapping[str, Any]) -> Wish:
    """Raises BadRequest for a lastEventId that is none."""
    query = parse_qs(scope.get("query_string", b"").decode("ascii", errors="replace"))
    raw = query.get("lastEventId", [""])[-1]
    return Wish(
        sees_all=query.get("all", [""])[-1] in ("1", "true"),
        last_event_id=read_event_id(raw) if raw else None,
    )


def read_event_id(raw: object) -> int:
    """A sequence, as a number or its digits. Raises BadRequest."""
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) < 20:
        raw = int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= MAX_SEQUENCE:
        return raw
    raise BadRequest(_("lastEventId is the id of an event, a whole number."))


async def identify(scope: Mapping[str, Any], *, sees_all: bool) -> Visitor:
    """Raises the PodiErrors of `authenticate_token`, of the scopes, and Forbidden for a page of another origin."""
    token = _find_token(scope)
    if token:
        user = await in_thread(_check_token, token, remote_addr=_address(scope), sees_all=sees_all)
        return Visitor(user=user, token=token)
    return Visitor(user=await _check_session(scope), token="")


async def check_again(scope: Mapping[str, Any], visitor: Visitor, *, sees_all: bool) -> None:
    """The same once more, for a stream that has been open for a while."""
    if visitor.token:
        await in_thread(_check_token, visitor.token, remote_addr=_address(scope), sees_all=sees_all)
    else:
        await _check_session(scope)


def _check_token(token: str, *, remote_addr: str, sees_all: bool) -> User:
    user, access = authenticate_token(token, remote_addr=remote_addr)
    _require(user, access, sees_all=sees_all)
    return user


async def _check_session(scope: Mapping[str, Any]) -> User:
    """An operator logged in to the admin, on a page of ours: browsers send cookies from other pages too."""
    user = await get_user(scope)
    if not isinstance(user, User) or not user.is_active or not user.is_staff:
        raise AuthorizationRequired
    if not _is_own_origin(scope):
        raise Forbidden
    return user


def _require(user: User, access: Access, *, sees_all: bool) -> None:
    require_scope(access, "notify:read")
    if sees_all:
        require_operator(user, access)


def _find_token(scope: Mapping[str, Any]) -> str:
    """From the Authorization header, or, for browsers, from the offered subprotocols; never from the query."""
    header = _header(scope, b"authorization")
    if header:
        return read_bearer(header)
    offered = [str(name) for name in scope.get("subprotocols", ())]
    return next((name.removeprefix(TOKEN_PROTOCOL) for name in offered if name.startswith(TOKEN_PROTOCOL)), "")


def _is_own_origin(scope: Mapping[str, Any]) -> bool:
    origin = _header(scope, b"origin").lower()
    return bool(origin) and (
        urlsplit(origin).netloc == _header(scope, b"host").lower() or origin in settings.CSRF_TRUSTED_ORIGINS
    )


def _address(scope: Mapping[str, Any]) -> str:
    client = scope.get("client") or [""]
    return client_address({"REMOTE_ADDR": client[0], "HTTP_X_FORWARDED_FOR": _header(scope, b"x-forwarded-for")})


def _header(scope: Mapping[str, Any], name: bytes) -> str:
    values = [value.decode("latin1") for key, value in scope.get("headers", ()) if key == name]
    return ",".join(values)
