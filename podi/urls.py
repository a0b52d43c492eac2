"""Every address PODI answers."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from podi import health
from podi.base.api import envelope
from podi.metrics import MetricsView
from podi.openapi import OpenApiView

_open: dict[str, list[type]] = {"permission_classes": [], "authentication_classes": []}

urlpatterns = [
    path("health", health.health),
    path("ready", health.ready),
    path("metrics", MetricsView.as_view()),
    path("openapi.json", OpenApiView.as_view(**_open), name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi", **_open), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="openapi", **_open), name="redoc"),
    path("admin/", admin.site.urls),
    path("i18n/setlang/", set_language, name="set_language"),
    path("", include("podi.base.api.urls")),
    path("", include("podi.events.urls")),
    path("", include("media.urls")),
    path("", include("wallet.urls")),
    path("", include("executors.urls")),
    path("", include("abilities.urls")),
    path("", include("coze_plugin.urls")),
    re_path(r"^api/", envelope.unknown_path),  # stays last
]
handler400 = envelope.handler400
handler404 = envelope.handler404
handler500 = envelope.handler500
