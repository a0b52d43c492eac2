"""Who is calling: the bearer token of the Authorization header, and nothing else (no query, cookie or Referer)."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from podi.base import services, sessions
from podi.base.access import Access
from podi.base.addresses import client_address, is_within
from podi.base.api.throttling import check_token_rate
from podi.base.errors import (
    AddressNotAllowed,
    AuthorizationRequired,
    InvalidToken,
    InvalidTokenPayload,
    UserInactive,
    UserNotFound,
)
from podi.base.models import ApiToken, User

LAST_USED_STEP: Final = timedelta(minutes=1)
MAX_TOKEN_CHARS: Final = 4096

__all__ = ["Access", "BearerAuthentication", "authenticate_request", "authenticate_token", "client_address"]


class BearerAuthentication(BaseAuthentication):
    """DRF's door: `request.user` is a User, `request.auth` an Access. No header means anonymous."""

    def authenticate(self, request: Request) -> tuple[User, Access] | None:
        if "HTTP_AUTHORIZATION" not in request.META:
            return None
        return authenticate_request(request._request)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="podi"'


def authenticate_request(request: HttpRequest) -> tuple[User, Access]:
    """The caller of a plain Django request. Raises what `authenticate_token` raises. Touches the database."""
    text = read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
    return authenticate_token(text, remote_addr=client_address(request.META))


def read_bearer(header: str) -> str:
    """The token of an Authorization header. Raises AuthorizationRequired when there is none."""
    scheme, _, text = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise AuthorizationRequired()
    return text.strip()


def authenticate_token(text: str, *, remote_addr: str) -> tuple[User, Access]:
    """The user and access behind a token: access JWT, API token or SERVICE_API_TOKEN. One query in the common case.

    `remote_addr` comes from `client_address`. Raises AuthorizationRequired, InvalidToken, InvalidTokenPayload,
    UserNotFound, UserInactive, AddressNotAllowed, RateLimited.
    """
    if not text:
        raise AuthorizationRequired()
    if len(text) > MAX_TOKEN_CHARS:
        raise InvalidToken()
    if _is_service_token(text):
        user = services.ensure_service_user()
        access = Access.of_person(user, kind="service")
    elif text.startswith(services.TOKEN_PREFIX):
        token = _find_api_token(text, remote_addr=remote_addr)
        user, access = token.user, Access.of_token(token)
    else:
        user = _find_jwt_user(text)
        access = Access.of_person(user)
    if not user.is_active:
        raise UserInactive()
    if access.token is not None:
        check_token_rate(access.token)
        _note_use(access.token)
    return user, access


def _is_service_token(text: str) -> bool:
    expected: str = settings.SERVICE_API_TOKEN
    return bool(expected) and hmac.compare_digest(text.encode(), expected.encode())


def _find_api_token(text: str, *, remote_addr: str) -> ApiToken:
    token = ApiToken.objects.select_related("user").filter(token_hash=services.hash_token(text)).first()
    if token is None or token.revoked_at is not None:
        raise InvalidToken()
    if token.expires_at is not None and token.expires_at <= timezone.now():
        raise InvalidToken()
    if token.allowed_ips and not is_within(remote_addr, token.allowed_ips):
        raise AddressNotAllowed()
    return token


def _find_jwt_user(text: str) -> User:
    try:
        claims: Any = AccessToken(text)  # type: ignore[arg-type]  # a refresh token has another `type` and fails here
    except TokenError as error:
        raise InvalidToken() from error
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise InvalidTokenPayload()
    if session := sessions.find_session_of(str(claims["jti"])):
        if session.user_id != subject or not sessions.is_live(session):
            raise InvalidToken()
        return session.user
    user = User.objects.filter(pk=subject).first()
    if user is None:
        raise UserNotFound()
    if "." in str(claims["jti"]):  # it names a login that is gone
        raise InvalidToken()
    return user


def _note_use(token: ApiToken) -> None:
    """`last_used_at`, at most once a minute, so that a busy token does not cost a write per call."""
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at < LAST_USED_STEP:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_STEP)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
