"""Kept files, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from media import services as media
from media.admin.upload_page import UploadPage
from media.errors import AssetMissing
from media.images import ImageProblem
from media.models import Asset, RetentionRule


class ContentFilter(admin.SimpleListFilter):
    title = _("content")
    parameter_name = "content"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("image/", _("images")), ("video/", _("videos")), ("text/", _("texts")), ("application/", _("others"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Asset]) -> QuerySet[Asset]:
        chosen = self.value()
        return queryset.filter(content_type__startswith=chosen) if chosen else queryset


class KindFilter(admin.SimpleListFilter):
    """The kinds there are, without asking the table which it holds."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, label in RetentionRule.Kind.choices if value]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Asset]) -> QuerySet[Asset]:
        chosen = self.value()
        return queryset.filter(kind=chosen) if chosen else queryset


@admin.register(Asset)
class AssetAdmin(UploadPage):
    list_display = (
        "picture",
        "object_key",
        "shown_kind",
        "content_type",
        "size",
        "dimensions",
        "dpi",
        "owner",
        "created_at",
    )
    list_display_links = ("picture", "object_key")
    list_filter = (KindFilter, ContentFilter, "created_at")
    search_fields = ("=id", "object_key", "=sha256", "file_name", "=owner__username")
    search_help_text = _("id, key, SHA-256, file name or owner")
    list_select_related = ("owner",)
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = None
    fields = (
        "large_picture",
        "link",
        "object_key",
        "shown_kind",
        "file_name",
        "content_type",
        "size",
        "dimensions",
        "dpi",
        "sha256",
        "owner",
        "created_at",
        "last_used_at",
        "removed_at",
    )
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Asset | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Asset | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        own = path("<str:pk>/thumbnail", self.admin_site.admin_view(self.thumbnail), name="media_asset_thumbnail")
        return [own, *super().get_urls()]

    def thumbnail(self, request: HttpRequest, pk: str) -> HttpResponse:
        """A small picture of an image. The browser keeps it: equal bytes never look different."""
        asset = Asset.objects.filter(pk=pk, width__isnull=False, removed_at=None).first()
        if asset is None or not self.has_view_permission(request, asset):
            raise Http404
        try:
            picture = media.thumbnail(asset)
        except (AssetMissing, ImageProblem) as error:
            raise Http404(str(error)) from error
        headers = {"Cache-Control": "private, max-age=604800, immutable", "X-Content-Type-Options": "nosniff"}
        return HttpResponse(picture, content_type="image/webp", headers=headers)

    @admin.display(description=_("picture"))
    def picture(self, asset: Asset) -> str | SafeString:
        if asset.width is None:
            return asset.content_type.partition("/")[0]
        source = reverse("admin:media_asset_thumbnail", args=[asset.pk])
        return format_html('<img src="{}" alt="" loading="lazy" style="max-width:72px;max-height:72px">', source)

    @admin.display(description=_("picture"))
    def large_picture(self, asset: Asset) -> str | SafeString:
        if asset.width is None or asset.removed_at is not None:
            return "-"
        source = reverse("admin:media_asset_thumbnail", args=[asset.pk])
        return format_html('<a href="{}"><img src="{}" alt=""></a>', media.url(asset), source)

    @admin.display(description=_("link"))
    def link(self, asset: Asset) -> Any:
        if asset.removed_at is not None:
            return _("the file was removed by a retention rule")
        return format_html('<a href="{}" rel="noreferrer">{}</a>', media.url(asset), _("open the file"))

    @admin.display(description=_("kind"), ordering="kind")
    def shown_kind(self, asset: Asset) -> str:
        return str(dict(RetentionRule.Kind.choices).get(asset.kind, asset.kind))

    @admin.display(description=_("size"), ordering="size_bytes")
    def size(self, asset: Asset) -> str:
        return filesizeformat(asset.size_bytes)

    @admin.display(description=_("pixels"), ordering="width")
    def dimensions(self, asset: Asset) -> str:
        return f"{asset.width}\u00a0×\u00a0{asset.height}" if asset.width is not None else "-"
