"""Upload keys: one-time, bound to a user, revocable. The text is a signed token, the row is the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import jwt
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from media.errors import MediaUploadUnauthorized, UploadBlocked, UploadForbidden
from media.models import Upload, UploadBlock, UploadKey
from podi.base.models import User

SCOPE = "upload"


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """The only moment the text is known."""

    text: str = field(repr=False)
    expires_at: datetime
    expires_in_s: int


def issue_upload_key(actor: User, *, user_id: str) -> IssuedKey:
    """A key for oneself (by id or user name); operators may ask for anybody. Raises UploadForbidden, UploadBlocked."""
    user = _find_user(actor, user_id.strip())
    check_not_blocked(user.pk)
    now = timezone.now().replace(microsecond=0)
    expires_at = now + timedelta(seconds=settings.UPLOAD_TOKEN_TTL)
    key = UploadKey.objects.create(user=user, expires_at=expires_at)
    claims = {
        "sub": user.pk,
        "jti": key.pk,
        "scope": SCOPE,
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    text = jwt.encode(claims, settings.UPLOAD_TOKEN_SECRET, algorithm="HS256")
    return IssuedKey(text=text, expires_at=expires_at, expires_in_s=settings.UPLOAD_TOKEN_TTL)


def find_upload_key(text: str) -> UploadKey:
    """The unused key behind the text. Raises MediaUploadUnauthorized (with `reason`), UploadBlocked."""
    try:
        claims = jwt.decode(
            text,
            settings.UPLOAD_TOKEN_SECRET,
            algorithms=["HS256"],
            options={"require": ["sub", "jti", "exp", "iat"]},
        )
    except jwt.ExpiredSignatureError:
        raise MediaUploadUnauthorized(reason="expired") from None
    except jwt.InvalidTokenError:
        raise MediaUploadUnauthorized(reason="invalid") from None
    key = UploadKey.objects.select_related("user").filter(pk=claims["jti"], user_id=claims["sub"]).first()
    if key is None or claims.get("scope") != SCOPE or not key.user.is_active:
        raise MediaUploadUnauthorized(reason="invalid")
    check_not_blocked(key.user_id)
    _check_unused(key)
    return key


def spend_upload_key(key: UploadKey) -> datetime:
    """Use the key up; of any number of calls at once one succeeds. Raises MediaUploadUnauthorized."""
    now = timezone.now()
    unused = UploadKey.objects.filter(pk=key.pk, used_at=None, revoked_at=None, expires_at__gt=now)
    if not unused.update(used_at=now):
        key.refresh_from_db()
        _check_unused(key)
        raise MediaUploadUnauthorized(reason="expired")
    return now


def give_back_upload_key(key: UploadKey, *, used_at: datetime) -> None:
    """Undo `spend_upload_key` where nothing was handed out for it."""
    UploadKey.objects.filter(pk=key.pk, used_at=used_at).update(used_at=None)


def revoke_upload_keys(*, user_id: str | None = None, ids: list[str] | None = None) -> int:
    """Close unused keys, and the uploads of these users that have not begun; how many keys."""
    now = timezone.now()
    keys = UploadKey.objects.filter(used_at=None, revoked_at=None)
    if ids is not None:
        keys = keys.filter(pk__in=ids)
    if user_id is not None:
        keys = keys.filter(user_id=user_id)
    return keys.update(revoked_at=now)


def block_uploads(user: User, *, reason: str, actor: User) -> UploadBlock:
    """No upload of this user from now on: neither a new key, nor an open one, nor an upload that was allowed before.

    Temporary keys that Aliyun gave already work there until they expire; what comes by them is not taken.
    """
    with transaction.atomic():
        block, _created = UploadBlock.objects.update_or_create(
            user=user, defaults={"reason": reason, "blocked_by": actor}
        )
        revoke_upload_keys(user_id=user.pk)
        Upload.objects.filter(owner=user, state__in=[Upload.State.GRANTED, Upload.State.RECEIVED]).update(
            state=Upload.State.REFUSED, refusal="blocked"
        )
    return block


def unblock_uploads(user: User) -> bool:
    """False when the user was not blocked. Keys stay revoked; new ones may be asked for."""
    return bool(UploadBlock.objects.filter(user=user).delete()[0])


def check_not_blocked(user_id: str) -> None:
    """Raises UploadBlocked."""
    if UploadBlock.objects.filter(user_id=user_id).exists():
        raise UploadBlocked()


def _find_user(actor: User, named: str) -> User:
    if named in (actor.pk, actor.get_username()):
        return actor
    found = User.objects.filter(Q(pk=named) | Q(username=named), is_active=True).first() if actor.is_staff else None
    if found is None:
        raise UploadForbidden()
    return found


def _check_unused(key: UploadKey) -> None:
    if key.revoked_at is not None:
        raise MediaUploadUnauthorized(reason="revoked")
    if key.used_at is not None:
        raise MediaUploadUnauthorized(reason="used")
    if key.expires_at <= timezone.now():
        raise MediaUploadUnauthorized(reason="expired")
