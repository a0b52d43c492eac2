"""The admin of our API keys at providers: the key goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from executors import forms, services
from executors.models import ApiKey
from podi.base.admin import ExportAdmin, ServiceAdmin
from podi.base.admin.accounts import acting


@admin.register(ApiKey)
class ApiKeyAdmin(ExportAdmin, ServiceAdmin):
    form = forms.ApiKeyForm
    list_display = ("name", "provider", "shown_key", "state_label", "usage_count", "today", "last_used_at", "expire_at")
    list_filter = ("provider", "status", "expire_at")
    search_fields = ("id", "name", "last_four")
    readonly_fields = (
        "id",
        "shown_key",
        "state_label",
        "usage_count",
        "today",
        "last_used_at",
        "cooldown_until",
        "cooldown_reason",
        "created_at",
        "updated_at",
    )
    fieldsets = (
        (None, {"fields": ("id", "provider", "name", "shown_key", "key", "secret_key", "status", "state_label")}),
        (_("Limits"), {"fields": ("daily_quota", "expire_at", "cooldown_until", "cooldown_reason")}),
        (_("Use"), {"fields": ("usage_count", "today", "last_used_at")}),
        (_("More"), {"classes": ("collapse",), "fields": ("metadata", "created_at", "updated_at")}),
    )

    @admin.display(description=_("key"))
    def shown_key(self, row: ApiKey) -> str:
        return f"…{row.last_four}" if row.pk and row.key else "–"

    @admin.display(description=_("state"))
    def state_label(self, row: ApiKey) -> Any:
        now = timezone.now()
        if row.status != ApiKey.State.ACTIVE:
            return row.get_status_display()
        if row.expire_at and row.expire_at <= now:
            return _("expired")
        if row.cooldown_until and row.cooldown_until > now:
            return _("pausing")
        return _("usable")

    @admin.display(description=_("uses today"))
    def today(self, row: ApiKey) -> str:
        used = row.used_today if row.usage_day == timezone.now().date() else 0
        return f"{used} / {row.daily_quota}" if row.daily_quota is not None else str(used)

    def save_through_service(self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool) -> ApiKey:
        assert isinstance(form, forms.ApiKeyForm)
        values: Any = form.read_changes()
        if not change:
            return services.create_api_key(acting(request), values)
        return services.update_api_key(acting(request), services.find_api_key(obj.pk), values)

    def delete_through_service(self, request: HttpRequest, obj: ApiKey) -> None:
        services.delete_api_key(acting(request), obj)
