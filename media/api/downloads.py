"""`POST /api/media/v1/signed-download`: a fresh link to a file named by its key."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from media import services as media
from podi.base.api.permissions import caller


class SignedDownloadIn(serializers.Serializer[None]):
    objectKey = serializers.CharField(max_length=512, allow_blank=True, help_text="key of a kept file")
    ttl = serializers.IntegerField(default=300, min_value=60, max_value=3600, help_text="seconds the link holds")


class SignedDownloadOut(serializers.Serializer[None]):
    url = serializers.CharField(help_text="absolute link, for anyone, until it expires")


class SignedDownloadView(APIView):
    """Own files only; operators may ask for any."""

    @extend_schema(request=SignedDownloadIn, responses=SignedDownloadOut, tags=["media"])
    def post(self, request: Request) -> Response:
        given = SignedDownloadIn(data=request.data)
        given.is_valid(raise_exception=True)
        actor, _access = caller(request)
        url = media.url_of_key(given.validated_data["objectKey"], actor=actor, ttl_s=given.validated_data["ttl"])
        return Response({"url": url})
