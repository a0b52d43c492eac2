"""Commands about accounts: the service user, operators, and the API tokens of client systems."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from podi.base.access import ADMIN_SCOPE, SCOPES
from podi.base.addresses import parse_network
from podi.base.errors import AdminOnly, Forbidden, InvalidInput
from podi.base.models import ApiToken, User

SERVICE_USER_ID: Final = "service"
TOKEN_PREFIX: Final = "podi_"
_CHANGEABLE: Final = ("name", "scopes", "allowed_ips", "rate_per_minute", "max_concurrency", "expires_at")


def hash_token(text: str) -> str:
    """How a token is stored and found: it is long and random, so a plain digest is enough."""
    return hashlib.sha256(text.encode()).hexdigest()


def ensure_service_user() -> User:
    """The one user that SERVICE_API_TOKEN acts as; created at first use, however many ask at once."""
    if user := User.objects.filter(pk=SERVICE_USER_ID).first():
        return user
    for name in ("service", f"service-{secrets.token_hex(4)}"):  # a person may have taken the plain name
        row = User(pk=SERVICE_USER_ID, username=name, is_staff=True, password=make_password(None))
        try:
            with transaction.atomic():
                row.save(force_insert=True)
            return row
        except IntegrityError:
            if user := User.objects.filter(pk=SERVICE_USER_ID).first():
                return user
    raise AssertionError("unreachable: a random user name is free")


def ensure_operator(username: str, *, password: str | None = None) -> str | None:
    """Make sure an operator of this name exists. Returns the password it made up, None if one was given or none made.

    An existing user keeps its password; it becomes an active superuser.
    """
    made_up = None if password else secrets.token_urlsafe(15)
    row = User(username=username, is_staff=True, is_superuser=True, password=make_password(password or made_up))
    try:
        with transaction.atomic():
            if not User.objects.filter(username=username).exists():
                row.save(force_insert=True)
                return made_up
    except IntegrityError:
        pass  # another process was first; it has told its password
    User.objects.filter(username=username).update(is_staff=True, is_superuser=True, is_active=True)
    return None


def save_user(actor: User, user: User) -> User:
    """Store a user as a form changed it. Raises AdminOnly, Forbidden, InvalidInput.

    Only superusers make superusers; nobody takes away their own access; one active superuser always remains.
    """
    if not actor.is_staff:
        raise AdminOnly()
    before = User.objects.filter(pk=user.pk).first()
    if (user.is_superuser or (before and before.is_superuser)) and not actor.is_superuser:
        raise Forbidden(_("Only a superuser may make or change a superuser."))
    if user.pk == actor.pk and not (user.is_active and user.is_staff and user.is_superuser == actor.is_superuser):
        raise InvalidInput(_("You cannot take away your own access. Ask another operator."))
    if user.pk == SERVICE_USER_ID and user.has_usable_password():
        raise InvalidInput(_("The service user has no password; it is known by SERVICE_API_TOKEN alone."))
    user.save()
    return user


def issue_token(
    actor: User,
    user: User,
    *,
    name: str,
    scopes: Sequence[str] = (),
    allowed_ips: Sequence[str] = (),
    rate_per_minute: int | None = None,
    max_concurrency: int | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """A new API token that acts as `user`, and its text, which is nowhere stored and never shown again.

    Only operators issue tokens. An empty `scopes` means every scope but `admin`. Raises AdminOnly, InvalidInput.
    """
    if not actor.is_staff:
        raise AdminOnly()
    check_token_limits(user, name=name, scopes=scopes, allowed_ips=allowed_ips, expires_at=expires_at)
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name.strip(),
        prefix=text[:12],
        token_hash=hash_token(text),
        scopes=list(scopes),
        allowed_ips=list(allowed_ips),
        rate_per_minute=rate_per_minute,
        max_concurrency=max_concurrency,
        expires_at=expires_at,
    )
    return token, text


def change_token(actor: User, token: ApiToken, **values: Any) -> ApiToken:
    """Change `name`, `scopes`, `allowed_ips`, `rate_per_minute`, `max_concurrency` or `expires_at` of a token.

    Raises AdminOnly, InvalidInput; a revoked token stays as it is.
    """
    if not actor.is_staff:
        raise AdminOnly()
    fresh = ApiToken.objects.select_related("user").get(pk=token.pk)
    new = {name: values.get(name, getattr(fresh, name)) for name in _CHANGEABLE}
    expires_at = new["expires_at"]
    check_token_limits(
        fresh.user,
        name=new["name"],
        scopes=new["scopes"],
        allowed_ips=new["allowed_ips"],
        expires_at=None if expires_at == fresh.expires_at else expires_at,
    )
    if not ApiToken.objects.filter(pk=fresh.pk, revoked_at=None).update(**new):
        raise InvalidInput(_("This token is revoked."))
    for name, value in new.items():
        setattr(fresh, name, value)
    return fresh


def describe_token_state(token: ApiToken) -> Promise:
    if token.revoked_at is not None:
        return _("revoked")
    if token.expires_at is not None and token.expires_at <= timezone.now():
        return _("expired")
    return _("usable")


def check_token_limits(
    user: User, *, name: str, scopes: Sequence[str], allowed_ips: Sequence[str], expires_at: datetime | None
) -> None:
    """Raises InvalidInput naming every field that is wrong."""
    fields: dict[str, str | Promise] = {}
    if not name.strip() or len(name) > 128:
        fields["name"] = _("Give a name of 1 to 128 characters.")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        fields["scopes"] = _("Unknown scopes: %(names)s.") % {"names": ", ".join(map(str, unknown))}
    elif ADMIN_SCOPE in scopes and not user.is_staff:
        fields["scopes"] = _("The scope `admin` needs a user who is an operator.")
    if wrong := [text for text in allowed_ips if parse_network(str(text)) is None]:
        fields["allowed_ips"] = _("Not an address or CIDR range: %(names)s.") % {"names": ", ".join(map(str, wrong))}
    if expires_at is not None and expires_at <= timezone.now():
        fields["expires_at"] = _("This moment has passed.")
    if fields:
        raise InvalidInput(fields=fields)


def revoke_token(actor: User, token: ApiToken) -> bool:
    """End a token at once and for good. False when it was revoked before. Raises AdminOnly."""
    if not actor.is_staff:
        raise AdminOnly()
    now = timezone.now()
    done = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
    if done:
        token.revoked_at = now
    return bool(done)


def rotate_token(actor: User, token: ApiToken) -> str:
    """Give a token a new text; the old one stops working at once. Raises AdminOnly, InvalidInput when it is revoked."""
    if not actor.is_staff:
        raise AdminOnly()
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    values = {"token_hash": hash_token(text), "prefix": text[:12]}
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None, token_hash=token.token_hash).update(**values):
        raise InvalidInput(_("This token is revoked, or somebody rotated it just now."))
    token.token_hash, token.prefix = values["token_hash"], values["prefix"]
    return text
