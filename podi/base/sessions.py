"""Logins: the password check behind every login form, and the chain of refresh tokens that follows it.

One row per login names the only refresh token that works. Refreshing swaps that name by compare-and-set, so of two
requests with one token exactly one wins; a token that was swapped out before ends the whole login, because either the
client or a thief now holds a copy.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token, UntypedToken

from podi.base import buckets
from podi.base.errors import (
    AdminOnly,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidToken,
    RateLimited,
    UserInactive,
    UserNotFound,
)
from podi.base.models import LoginSession, User

PAIR_GUESSES: Final = 5
PAIR_REFILL_S: Final = 60.0
"""Five wrong passwords for one name from one address, then one a minute."""
ADDRESS_GUESSES: Final = 50
ADDRESS_REFILL_S: Final = 6.0
"""Fifty wrong logins from one address over all names, then ten a minute."""


@dataclass(frozen=True, kw_only=True)
class TokenPair:
    """What a login or a refresh hands out."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_s: int
    user: User


def check_password(identifier: str, password: str, *, address: str, is_email: bool = False) -> User:
    """The user of these credentials. Call it outside a transaction: hashing takes long, and a guess must stay counted.

    Raises RateLimited (with `retry_after_s`), InvalidCredentials, and UserInactive only after a right password.
    """
    pair_key, address_key = _guess_keys(identifier, address)
    # A guess is counted before the password is looked at, so that parallel guesses are counted too.
    wait_s = buckets.take(pair_key, capacity=PAIR_GUESSES, refill_s=PAIR_REFILL_S) or buckets.take(
        address_key, capacity=ADDRESS_GUESSES, refill_s=ADDRESS_REFILL_S
    )
    if wait_s:
        raise RateLimited(retry_after_s=wait_s)
    lookup = {"email__iexact": identifier} if is_email else {"username": identifier}
    user = User.objects.filter(**lookup).first()
    if user is None:
        User().set_password(password)  # takes as long as a real check, so that names cannot be probed by the clock
        raise InvalidCredentials()
    if not user.check_password(password):
        raise InvalidCredentials()
    buckets.empty(pair_key)
    buckets.give_back(address_key, refill_s=ADDRESS_REFILL_S)
    if not user.is_active:
        raise UserInactive()
    return user


def _guess_keys(identifier: str, address: str) -> tuple[str, str]:
    pair = hashlib.sha256(f"{identifier.strip().casefold()}\n{address}".encode()).hexdigest()
    return f"login:{pair}", f"login-from:{address or 'unknown'}"


def open_session(user: User, *, address: str = "") -> TokenPair:
    """Begin a login for a user whose password was checked; notes `last_login`."""
    now = timezone.now()
    session = LoginSession.objects.create(
        user=user,
        current=_new_mark(),
        password_mark=user.get_session_auth_hash(),
        address=address,
        expires_at=now + api_settings.REFRESH_TOKEN_LIFETIME,
    )
    User.objects.filter(pk=user.pk).update(last_login=now)
    return _pair(session)


def refresh_session(text: str) -> TokenPair:
    """Swap a refresh token for a new pair. It works once; a second use ends the login.

    Raises InvalidToken, InvalidRefreshToken, UserNotFound, UserInactive.
    """
    claims = _read_refresh(text)
    session_id, _, mark = str(claims["jti"]).partition(".")
    session = LoginSession.objects.select_related("user").filter(pk=session_id).first()
    if session is None:
        if not User.objects.filter(pk=claims.get("sub", "")).exists():
            raise UserNotFound()
        raise InvalidRefreshToken()
    if not session.user.is_active:
        raise UserInactive()
    if not is_live(session):
        raise InvalidRefreshToken()
    now = timezone.now()
    new = {"current": _new_mark(), "refreshed_at": now, "expires_at": now + api_settings.REFRESH_TOKEN_LIFETIME}
    if not LoginSession.objects.filter(pk=session.pk, current=mark, revoked_at=None).update(**new):
        _revoke(session_id)
        raise InvalidRefreshToken()
    session.current = str(new["current"])
    return _pair(session)


def close_session(text: str) -> None:
    """Log out: end the login this refresh token belongs to, its access tokens included. Again is harmless.

    Raises InvalidToken, InvalidRefreshToken.
    """
    _revoke(str(_read_refresh(text)["jti"]).partition(".")[0])


def close_sessions_of(user: User) -> int:
    """End every login of a user; returns how many."""
    return LoginSession.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())


def end_session(actor: User, session: LoginSession) -> bool:
    """An operator ends somebody's login. False when it had ended before. Raises AdminOnly."""
    if not actor.is_staff:
        raise AdminOnly()
    return _revoke(session.pk)


def is_live(session: LoginSession) -> bool:
    """Not logged out, and the password has not changed since. Needs `session.user`."""
    return session.revoked_at is None and constant_time_compare(
        session.password_mark, session.user.get_session_auth_hash()
    )


def find_session_of(jti: str) -> LoginSession | None:
    """The login an access token's `jti` names, its user joined. One query; None for a token outside any login."""
    session_id, dot, _ = jti.partition(".")
    return LoginSession.objects.select_related("user").filter(pk=session_id).first() if dot else None


def sweep_sessions() -> int:
    """Forget logins whose last token has expired."""
    gone = timezone.now() - max(api_settings.ACCESS_TOKEN_LIFETIME, timedelta(hours=1))
    return LoginSession.objects.filter(expires_at__lt=gone).delete()[0]


def _revoke(session_id: str) -> bool:
    return bool(LoginSession.objects.filter(pk=session_id, revoked_at=None).update(revoked_at=timezone.now()))


def _read_refresh(text: str) -> Token:
    try:
        claims: Any = UntypedToken(text)  # type: ignore[arg-type]
    except TokenError as error:
        raise InvalidToken() from error
    if claims.get("type") != RefreshToken.token_type:
        raise InvalidRefreshToken()
    found: Token = claims
    return found


def _new_mark() -> str:
    return secrets.token_hex(16)


def _pair(session: LoginSession) -> TokenPair:
    refresh = RefreshToken()
    refresh["sub"] = session.user_id
    refresh["jti"] = f"{session.pk}.{session.current}"
    access = AccessToken()
    access["sub"] = session.user_id
    access["role"] = session.user.role
    access["jti"] = f"{session.pk}.{_new_mark()}"
    return TokenPair(
        access_token=str(access),
        refresh_token=str(refresh),
        expires_in_s=int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
        user=session.user,
    )
