"""What every app's admin is built from; importing it also registers users, logins and API tokens."""

from podi.base.admin.accounts import ApiTokenAdmin, LoginSessionAdmin, UserAdmin
from podi.base.admin.bases import BoundedPaginator, LargeTableMixin, ReadOnlyAdmin, ServiceAdmin
from podi.base.admin.export import ExportAdmin
from podi.base.forms import LinesField, NetworksField, WriteOnlyField, WriteOnlyInput

__all__ = [
    "ApiTokenAdmin",
    "BoundedPaginator",
    "ExportAdmin",
    "LargeTableMixin",
    "LinesField",
    "LoginSessionAdmin",
    "NetworksField",
    "ReadOnlyAdmin",
    "ServiceAdmin",
    "UserAdmin",
    "WriteOnlyField",
    "WriteOnlyInput",
]
