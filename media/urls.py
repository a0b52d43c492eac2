"""Addresses of kept files."""

from django.urls import path

from media.api.downloads import SignedDownloadView
from media.views import serve_file

urlpatterns = [
    path("files/<path:key>", serve_file, name="media-file"),
    path("api/media/v1/signed-download", SignedDownloadView.as_view()),
]
