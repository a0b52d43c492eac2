"""The admin of uploads: what came in and how, open keys to revoke, users to block."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from media import services as media
from media.models import Upload, UploadBlock, UploadKey
from podi.base.admin.accounts import acting
from podi.base.admin.bases import LargeTableMixin, ReadOnlyAdmin, ServiceAdmin


@admin.register(Upload)
class UploadAdmin(LargeTableMixin, ReadOnlyAdmin):
    list_display = ("object_key", "owner", "state", "method", "content_type", "size_bytes", "refusal", "created_at")
    list_filter = ("state", "method", "created_at")
    search_fields = ("=id", "=object_key", "=owner__username", "=task_id")
    search_help_text = _("id, key, user name or task")
    list_select_related = ("owner",)
    exclude = ("claimed_until",)


@admin.register(UploadKey)
class UploadKeyAdmin(LargeTableMixin, ReadOnlyAdmin):
    """The text of a key is not stored and shown nowhere."""

    list_display = ("__str__", "user", "created_at", "expires_at", "used_at", "revoked_at")
    list_filter = (("used_at", admin.EmptyFieldListFilter), ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("=id", "=user__username")
    list_select_related = ("user",)
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("media.change_uploadkey")

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, keys: QuerySet[UploadKey]) -> None:
        count = media.revoke_upload_keys(ids=list(keys.values_list("pk", flat=True)))
        self.message_user(request, _("%(count)d unused keys were revoked.") % {"count": count})


@admin.register(UploadBlock)
class UploadBlockAdmin(ServiceAdmin):
    list_display = ("user", "reason", "blocked_by", "created_at")
    search_fields = ("=user__username", "reason")
    list_select_related = ("user", "blocked_by")
    autocomplete_fields = ("user",)
    readonly_fields = ("blocked_by", "created_at")

    def has_change_permission(self, request: HttpRequest, obj: UploadBlock | None = None) -> bool:
        return False

    def save_through_service(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> UploadBlock:
        return media.block_uploads(obj.user, reason=obj.reason, actor=acting(request))

    def delete_through_service(self, request: HttpRequest, obj: UploadBlock) -> None:
        media.unblock_uploads(obj.user)
