"""Uploads: a key, what it is exchanged for, our own address for the file, and the reports of OSS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from media import services as media
from media.aliyun.callbacks import Post
from media.api import answers
from media.errors import MediaCallbackInvalid, MediaUploadUnauthorized, UploadTooLarge
from media.models import Upload
from podi.base.api.permissions import HasScope, caller

MAX_CALLBACK_BYTES = 64 * 1024
FORM_OVERHEAD_BYTES = 64 * 1024
CHUNK_BYTES = 256 * 1024


class UploadKeyView(APIView):
    permission_classes = [HasScope.of("media:write")]

    @extend_schema(request=answers.UploadKeyIn, responses=answers.UploadKeyOut, tags=["media"])
    def post(self, request: Request) -> Response:
        """A one-time key for one upload of one's own; operators may name another user."""
        given = answers.UploadKeyIn(data=request.data)
        given.is_valid(raise_exception=True)
        actor, _access = caller(request)
        key = media.issue_upload_key(actor, user_id=given.validated_data["userId"])
        answer = {"uploadKey": key.text, "expiresAt": answers.moment(key.expires_at), "expiresIn": key.expires_in_s}
        return Response(answer, headers=answers.PRIVATE)


class StsView(APIView):
    """The upload key is the proof; no token is needed beside it."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(request=answers.StsIn, responses=answers.StsOut, tags=["media"], auth=[])
    def post(self, request: Request) -> Response:
        """Exchange an upload key for temporary keys of OSS, or for a signed form, for one file."""
        given = answers.StsIn(data=request.data)
        given.is_valid(raise_exception=True)
        wish = media.UploadWish(
            task_id=given.validated_data["taskId"],
            action=given.validated_data["action"],
            file_name=given.validated_data["fileName"],
            content_type=given.validated_data["mimeType"],
            size_bytes=given.validated_data["fileSize"],
            channel=given.validated_data.get("channel") or "",
        )
        grant = media.open_upload(given.validated_data["uploadKey"], wish)
        return Response(answers.grant(grant), headers=answers.PRIVATE)


class AnyParser(BaseParser):
    """Leaves the body alone: the view reads it as a stream."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return {}


class UploadView(APIView):
    """Our own upload address. The signed form is the proof; pages of UPLOAD_ALLOWED_ORIGINS may use it."""

    authentication_classes = []
    permission_classes = []
    parser_classes = [MultiPartParser, AnyParser]

    @extend_schema(
        request={"multipart/form-data": answers.FormIn}, responses=answers.UploadOut, tags=["media"], auth=[]
    )
    def post(self, request: Request) -> Response:
        """The fields of the form, then `file`."""
        _check_length(request, settings.UPLOAD_MAX_BYTES + FORM_OVERHEAD_BYTES)
        if not (request.content_type or "").startswith("multipart/form-data"):
            raise MediaUploadUnauthorized(reason="invalid")
        given = answers.FormIn(data=request.data)
        given.is_valid(raise_exception=True)
        form = given.validated_data
        upload = media.find_own_upload(form["policy"], form["signature"], key=form["key"])
        return _answer(media.receive(upload, cast("BinaryIO", form["file"])))

    @extend_schema(
        parameters=[
            OpenApiParameter("policy", required=True, description="the field `policy` of the form"),
            OpenApiParameter("signature", required=True, description="the field `signature` of the form"),
        ],
        request={"application/octet-stream": bytes},
        responses=answers.UploadOut,
        tags=["media"],
        auth=[],
    )
    def put(self, request: Request) -> Response:
        """The file alone as the body; policy and signature in the address."""
        upload = media.find_own_upload(
            request.query_params.get("policy", ""), request.query_params.get("signature", "")
        )
        _check_length(request, upload.max_bytes)
        return _answer(media.receive(upload, _iter_body(request)))

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """A browser asks whether a page of another origin may upload."""
        return Response(status=204)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)
        origin = request.headers.get("Origin", "")
        if origin and origin in settings.UPLOAD_ALLOWED_ORIGINS:
            answer["Access-Control-Allow-Origin"] = origin
            answer["Access-Control-Allow-Methods"] = "POST, PUT"
            answer["Access-Control-Allow-Headers"] = "Content-Type"
            answer["Access-Control-Max-Age"] = "600"
        answer["Vary"] = "Origin"
        return answer


class OssCallbackView(APIView):
    """Aliyun's signature is the proof. 204 as in the contract; 200 with JSON where our own form asked for it."""

    authentication_classes = []
    permission_classes = []
    parser_classes = [AnyParser]

    @extend_schema(
        request=answers.OssCallbackIn,
        parameters=[OpenApiParameter("answer", enum=["json"], description="`json`: 200 with a body, as OSS wants it")],
        responses={204: None, 200: answers.UploadOut},
        tags=["media"],
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """OSS reports an upload. Sent again it changes nothing."""
        raw = request._request
        if int(raw.META.get("CONTENT_LENGTH") or 0) > MAX_CALLBACK_BYTES:
            raise MediaCallbackInvalid(reason="body")
        post = Post(
            path=raw.path,
            query=raw.META.get("QUERY_STRING", ""),
            body=raw.body,
            authorization=raw.headers.get("Authorization", ""),
            key_url=raw.headers.get("x-oss-pub-key-url", ""),
        )
        upload = media.record_report(post)
        if request.query_params.get("answer") == "json":
            return Response(answers.upload(upload))
        return Response(status=204)


def _answer(upload: Upload) -> Response:
    return Response(answers.upload(upload), headers=answers.PRIVATE)


def _check_length(request: Request, limit: int) -> None:
    length = request._request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > limit:
        raise UploadTooLarge(max_bytes=limit)


def _iter_body(request: Request) -> Iterator[bytes]:
    while chunk := request._request.read(CHUNK_BYTES):
        yield chunk
