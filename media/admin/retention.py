"""The admin of retention: rules by client and kind, and legal holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from media import services as media
from media.models import LegalHold, RetentionRule
from podi.base.admin.accounts import acting
from podi.base.admin.bases import ServiceAdmin

if TYPE_CHECKING:
    _RuleAdmin = ModelAdmin[RetentionRule]
    _HoldForm = forms.ModelForm[LegalHold]
else:
    _RuleAdmin, _HoldForm = ModelAdmin, forms.ModelForm


@admin.register(RetentionRule)
class RetentionRuleAdmin(_RuleAdmin):
    list_display = ("__str__", "owner", "kind", "unused_days", "max_age_days")
    list_filter = ("kind",)
    search_fields = ("=owner__username",)
    list_select_related = ("owner",)
    autocomplete_fields = ("owner",)


class HoldForm(_HoldForm):
    """Names a file or a user."""

    class Meta:
        model = LegalHold
        fields = ("asset", "owner", "reason")

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        if bool(found.get("asset")) == bool(found.get("owner")):
            raise ValidationError(_("Name either a file or a user."))
        return found


@admin.register(LegalHold)
class LegalHoldAdmin(ServiceAdmin):
    form = HoldForm
    list_display = ("subject", "reason", "created_by", "created_at", "released_by", "released_at")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    search_fields = ("subject", "reason")
    autocomplete_fields = ("asset", "owner")
    readonly_fields = ("created_by", "created_at", "released_by", "released_at")
    actions = ("release",)

    def has_change_permission(self, request: HttpRequest, obj: LegalHold | None = None) -> bool:
        return False

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("media.change_legalhold")

    def save_through_service(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> LegalHold:
        return media.place_hold(acting(request), reason=obj.reason, asset=obj.asset, owner=obj.owner)

    @admin.action(description=_("Release"), permissions=["release"])
    def release(self, request: HttpRequest, holds: QuerySet[LegalHold]) -> None:
        count = sum(media.release_hold(hold, actor=acting(request)) for hold in holds)
        self.message_user(request, _("%(count)d holds were released.") % {"count": count})
