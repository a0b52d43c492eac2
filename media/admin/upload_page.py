"""The upload page: a browser brings files in by the same steps as any client, whatever the store is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from media import services as media
from media.errors import MediaDownloadDenied
from media.models import Asset, Upload
from podi.base.admin.accounts import acting
from podi.base.errors import PodiError

if TYPE_CHECKING:
    _ModelAdmin = ModelAdmin[Asset]
else:
    _ModelAdmin = ModelAdmin


class UploadPage(_ModelAdmin):
    """Mixed into the admin of assets: adds `upload/`, and below it `key/` and `result/` for its script."""

    def get_urls(self) -> list[URLPattern]:
        def view(route: str, function: Any, name: str) -> Any:
            return path(route, self.admin_site.admin_view(function), name=f"media_asset_{name}")

        return [
            view("upload/", self.upload_view, "upload"),
            view("upload/key/", self.key_view, "upload_key"),
            view("upload/result/", self.result_view, "upload_result"),
            *super().get_urls(),
        ]

    def has_upload_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("media.add_upload")

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        self._check(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": Upload._meta.verbose_name,
            "store": settings.MEDIA_STORAGE,
            "has_role": bool(settings.MEDIA_STORAGE == "oss" and settings.OSS_ROLE_ARN),
            "max_bytes": settings.UPLOAD_MAX_BYTES,
            "types": ",".join(settings.UPLOAD_TYPES),
        }
        return render(request, "admin/media/asset/upload.html", context)

    @method_decorator(require_POST)
    def key_view(self, request: HttpRequest) -> HttpResponse:
        """An upload key for the operator at the desk."""
        self._check(request)
        actor = acting(request)
        try:
            key = media.issue_upload_key(actor, user_id=actor.pk)
        except PodiError as error:
            return _refusal(error)
        return JsonResponse({"uploadKey": key.text}, headers={"Cache-Control": "no-store"})

    @method_decorator(require_POST)
    def result_view(self, request: HttpRequest) -> HttpResponse:
        """What became of an upload; where it lies in OSS it is looked into now."""
        self._check(request)
        try:
            asset = media.find_asset(request.POST.get("objectKey", ""), actor=acting(request))
            if asset is None:
                raise MediaDownloadDenied()
        except PodiError as error:
            return _refusal(error)
        thumbnail = reverse("admin:media_asset_thumbnail", args=[asset.pk]) if asset.width else ""
        return JsonResponse(
            {
                "url": media.url(asset),
                "page": reverse("admin:media_asset_change", args=[asset.pk]),
                "thumbnail": thumbnail,
                "contentType": asset.content_type,
                "sizeBytes": asset.size_bytes,
                "width": asset.width,
                "height": asset.height,
                "objectKey": asset.object_key,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _check(self, request: HttpRequest) -> None:
        if not self.has_upload_permission(request):
            raise PermissionDenied


def _refusal(error: PodiError) -> JsonResponse:
    return JsonResponse({"detail": error.detail, "message": str(error.text)}, status=error.status)
