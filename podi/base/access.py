"""What a caller may do: the scopes there are, and the `Access` that every authenticated call carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from podi.base.errors import AdminOnly, ScopeMissing
from podi.base.models import ApiToken, User

ADMIN_SCOPE: Final = "admin"
USER_SCOPES: Final[dict[str, str | Promise]] = {
    "abilities:invoke": _("call abilities"),
    "tasks:read": _("read own tasks"),
    "tasks:write": _("create, cancel and retry own tasks"),
    "media:write": _("upload files"),
    "wallet:read": _("read own points"),
    "wallet:write": _("freeze, confirm and release own points"),
    "notify:read": _("read own events"),
}
SCOPES: Final[dict[str, str | Promise]] = {**USER_SCOPES, ADMIN_SCOPE: _("everything operators may do")}

Kind = Literal["jwt", "api_token", "service"]


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a caller proved who it is. `token` is set only for an API token."""

    kind: Kind
    scopes: frozenset[str]
    token: ApiToken | None = None

    @classmethod
    def of_person(cls, user: User, *, kind: Kind = "jwt") -> Access:
        """All user scopes; operators have `admin` as well."""
        scopes = frozenset(SCOPES if user.is_staff else USER_SCOPES)
        return cls(kind=kind, scopes=scopes)

    @classmethod
    def of_token(cls, token: ApiToken) -> Access:
        """What the token lists; an empty list means every scope but `admin`."""
        return cls(kind="api_token", scopes=frozenset(token.scopes or USER_SCOPES), token=token)


def require_scope(access: Access, scope: str) -> None:
    """Raises ScopeMissing (403)."""
    if scope not in access.scopes:
        raise ScopeMissing(scope=scope)


def require_operator(user: User, access: Access) -> None:
    """Raises AdminOnly, or ScopeMissing when an operator's API token lacks `admin` (both 403)."""
    if not user.is_staff:
        raise AdminOnly()
    require_scope(access, ADMIN_SCOPE)
