"""The admin of users, logins and API tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from podi.base import services, sessions
from podi.base.admin.bases import LargeTableMixin, ReadOnlyAdmin, ServiceAdmin
from podi.base.admin.export import ExportAdmin
from podi.base.errors import PodiError
from podi.base.forms import ApiTokenForm, LoginForm, PermissionsField
from podi.base.models import ApiToken, LoginSession, User
from podi.base.phrases import tell

if TYPE_CHECKING:
    _DjangoUserAdmin = DjangoUserAdmin[User]
else:
    _DjangoUserAdmin = DjangoUserAdmin

admin.site.login_form = LoginForm


def acting(request: HttpRequest) -> User:
    """The operator behind an admin request."""
    user = request.user
    if not isinstance(user, User):
        raise TypeError("an admin page was reached without a user")
    return user


class _PermissionNames:
    """Permissions in the reader's language. Mix it in before Django's own admins."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        if db_field.related_model is Permission:
            kwargs["form_class"] = PermissionsField
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(_PermissionNames, DjangoGroupAdmin):
    """Django's, with readable permissions."""


@admin.register(User)
class UserAdmin(_PermissionNames, ExportAdmin, ServiceAdmin, _DjangoUserAdmin):
    list_display = ("username", "email", "role_label", "is_active", "is_superuser", "last_login", "date_joined")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    search_fields = ("username", "email", "first_name", "last_name", "id")
    readonly_fields = ("id", "last_login", "date_joined", "updated_at")
    actions = ("end_logins",)
    fieldsets = (
        (None, {"fields": ("id", "username", "password", "email", "first_name", "last_name", "metadata")}),
        (_("Role"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("last_login", "date_joined", "updated_at")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2", "is_staff")}),
    )

    @admin.display(description=_("role"), ordering="is_staff")
    def role_label(self, user: User) -> str:
        return str(_("operator") if user.is_staff else _("user"))

    def save_through_service(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        services.save_user(acting(request), obj)

    @admin.action(description=_("End all logins"), permissions=["change"])
    def end_logins(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self.run_each(
            request,
            queryset,
            sessions.close_sessions_of,
            done=ngettext_lazy(
                "Logins of %(count)d user were ended.",
                "Logins of %(count)d users were ended.",
                "count",
            ),
        )


@admin.register(ApiToken)
class ApiTokenAdmin(ExportAdmin, ServiceAdmin):
    form = ApiTokenForm
    list_display = ("name", "prefix", "user", "state_label", "scopes", "expires_at", "last_used_at", "created_at")
    list_filter = ("revoked_at", "expires_at", "created_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username", "id")
    autocomplete_fields = ("user",)
    readonly_fields = ("id", "prefix", "state_label", "last_used_at", "created_at", "revoked_at")
    actions = ("revoke", "rotate")
    fieldsets = (
        (None, {"fields": ("id", "name", "user", "prefix", "state_label")}),
        (
            _("What it may do"),
            {"fields": ("scopes", "allowed_ips", "rate_per_minute", "max_concurrency", "expires_at")},
        ),
        (_("Dates"), {"fields": ("created_at", "last_used_at", "revoked_at")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return (*self.readonly_fields, "user") if obj else self.readonly_fields

    @admin.display(description=_("state"))
    def state_label(self, token: ApiToken) -> str:
        return str(services.describe_token_state(token))

    def save_through_service(
        self, request: HttpRequest, obj: ApiToken, form: ModelForm[ApiToken], change: bool
    ) -> ApiToken:
        values = {name: value for name, value in form.cleaned_data.items() if name != "user"}
        if change:
            return services.change_token(acting(request), obj, **values)
        token, text = services.issue_token(acting(request), obj.user, **values)
        self._show_once(request, token, text)
        return token

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        actor = acting(request)
        self.run_each(
            request,
            queryset,
            lambda token: services.revoke_token(actor, token),
            done=ngettext_lazy(
                "%(count)d token was revoked.",
                "%(count)d tokens were revoked.",
                "count",
            ),
        )

    @admin.action(description=_("Rotate: new text, the old one stops working"), permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset.select_related("user"):
            try:
                self._show_once(request, token, services.rotate_token(acting(request), token))
            except PodiError as error:
                self.message_user(request, f"{token}: {tell(error.text)}", messages.ERROR)

    def _show_once(self, request: HttpRequest, token: ApiToken, text: str) -> None:
        note = _("The text of {}; copy it now, it is not shown again: {}")
        self.message_user(
            request, format_html(str(note), token.name, format_html("<code>{}</code>", text)), messages.WARNING
        )


@admin.register(LoginSession)
class LoginSessionAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = ("user", "address", "created_at", "refreshed_at", "expires_at", "revoked_at")
    list_filter = ("revoked_at", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    fields = ("id", "user", "address", "created_at", "refreshed_at", "expires_at", "revoked_at")
    actions = ("end",)

    @admin.action(description=_("End these logins"), permissions=["view"])
    def end(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> None:
        actor = acting(request)
        self.run_each(
            request,
            queryset,
            lambda session: sessions.end_session(actor, session),
            done=ngettext_lazy(
                "%(count)d login was ended.",
                "%(count)d logins were ended.",
                "count",
            ),
        )
