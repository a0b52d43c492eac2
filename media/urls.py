"""Addresses of kept files."""

from django.urls import path

from media.api.downloads import SignedDownloadView
from media.api.uploads import OssCallbackView, StsView, UploadKeyView, UploadView
from media.views import serve_file

urlpatterns = [
    path("files/<path:key>", serve_file, name="media-file"),
    path("api/media/v1/signed-download", SignedDownloadView.as_view()),
    path("api/media/v1/upload-key", UploadKeyView.as_view()),
    path("api/media/v1/sts", StsView.as_view()),
    path("api/media/v1/uploads", UploadView.as_view(), name="media-uploads"),
    path("api/media/v1/oss-callback", OssCallbackView.as_view()),
]
