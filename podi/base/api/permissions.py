"""What a caller may do here: operators, and scopes. A view names one of these in `permission_classes`."""

from __future__ import annotations

from typing import ClassVar

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from podi.base.access import Access, require_operator, require_scope
from podi.base.errors import AuthorizationRequired
from podi.base.models import User


def caller(request: Request) -> tuple[User, Access]:
    """The user and access of a request. Raises AuthorizationRequired when nobody is logged in."""
    if not isinstance(request.user, User) or not isinstance(request.auth, Access):
        raise AuthorizationRequired()
    return request.user, request.auth


class IsOperator(BasePermission):
    """Operators only: ADMIN_ONLY for others, TOKEN_SCOPE_MISSING for an operator's API token without `admin`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        require_operator(*caller(request))
        return True


class HasScope(BasePermission):
    """Somebody logged in whose access carries a scope: `permission_classes = [HasScope.of("tasks:read")]`."""

    read_scope: ClassVar[str] = ""
    write_scope: ClassVar[str] = ""

    @classmethod
    def of(cls, scope: str, *, write: str = "") -> type[HasScope]:
        """`scope` for GET, HEAD and OPTIONS; `write` (else the same) for the other methods."""
        return type(f"HasScope[{scope}]", (cls,), {"read_scope": scope, "write_scope": write or scope})

    def has_permission(self, request: Request, view: APIView) -> bool:
        _, access = caller(request)
        require_scope(access, self.read_scope if request.method in SAFE_METHODS else self.write_scope)
        return True
