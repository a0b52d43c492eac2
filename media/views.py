"""`GET /files/<object key>?expires=..&signature=..`: kept files, to whoever holds a link that still is valid."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import content_disposition_header, parse_etags

from media import links
from media.content_types import is_inline, suffix_of
from media.errors import AssetMissing, AssetNotFound, FileRemoved
from media.models import Asset
from media.ranges import Span, Unsatisfiable, read_range
from media.services import open_asset
from podi.base.api import envelope
from podi.base.errors import MethodNotAllowed, PodiError

CHUNK_BYTES = 256 * 1024
# A file is somebody else's content on our address: it may be looked at and nothing more.
_CONTENT_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


def serve_file(request: HttpRequest, key: str) -> HttpResponseBase:
    """The file, or a part of it; 403 for a link we did not sign, 410 for one that expired."""
    try:
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed()
        link = links.Link(key=key, expires=request.GET.get("expires", ""), signature=request.GET.get("signature", ""))
        links.check_link(link, now=timezone.now())
        asset = Asset.objects.filter(object_key=key).first()
        if asset is None:
            raise AssetNotFound()
        if asset.removed_at is not None:
            raise FileRemoved()
        response = _answer(request, asset)
        _describe(response, asset, expires=int(link.expires))
    except PodiError as error:
        response = envelope.answer(error, request=request)
        response["Cache-Control"] = "no-store"
    return response


def _answer(request: HttpRequest, asset: Asset) -> HttpResponseBase:
    tags = parse_etags(request.headers.get("If-None-Match", ""))
    if "*" in tags or any(tag.removeprefix("W/") == _etag(asset) for tag in tags):
        return HttpResponseNotModified()
    if settings.FILES_ACCEL_PREFIX and settings.MEDIA_STORAGE == "local":
        return HttpResponse(headers={"X-Accel-Redirect": settings.FILES_ACCEL_PREFIX + quote(asset.object_key)})
    header = request.headers.get("Range", "")
    if request.headers.get("If-Range", _etag(asset)) != _etag(asset):
        header = ""
    try:
        span = read_range(header, size_bytes=asset.size_bytes)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{asset.size_bytes}"})
    response = _body(request, asset, span or Span(start=0, end=asset.size_bytes - 1))
    if span is not None:
        response.status_code = 206
        response["Content-Range"] = f"bytes {span.start}-{span.end}/{asset.size_bytes}"
    return response


def _body(request: HttpRequest, asset: Asset, span: Span) -> HttpResponseBase:
    file = open_asset(asset)
    if file.seek(0, os.SEEK_END) != asset.size_bytes:
        file.close()
        raise AssetMissing(asset_id=asset.pk)
    if request.method == "HEAD":
        file.close()
        return HttpResponse(headers={"Content-Length": str(span.length)})
    file.seek(span.start)
    # Django reads a synchronous stream to its end before it sends the first byte asynchronously, and the reverse.
    part = _AsyncPart(file, span.length) if isinstance(request, ASGIRequest) else _SyncPart(file, span.length)
    return StreamingHttpResponse(part, headers={"Content-Length": str(span.length)})


class _Part:
    """The next `left` bytes of an open file. Django calls `close` when the answer is sent or the client has gone."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def close(self) -> None:
        self._file.close()

    def _read(self) -> bytes:
        chunk = self._file.read(min(CHUNK_BYTES, self._left))
        self._left -= len(chunk)
        return chunk


class _SyncPart(_Part):
    def __iter__(self) -> Iterator[bytes]:
        return iter(self._read, b"")


class _AsyncPart(_Part):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = sync_to_async(self._read, thread_sensitive=False)
        while chunk := await read():
            yield chunk


def _describe(response: HttpResponseBase, asset: Asset, *, expires: int) -> None:
    left_s = max(int(expires - timezone.now().timestamp()), 0)
    response["ETag"] = _etag(asset)
    response["Cache-Control"] = f"private, max-age={left_s}, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _CONTENT_POLICY
    if response.status_code == 304:
        return
    charset = "; charset=utf-8" if asset.content_type.startswith("text/") else ""
    response["Content-Type"] = asset.content_type + charset
    response["Accept-Ranges"] = "bytes"
    disposition = content_disposition_header(not is_inline(asset.content_type), _file_name(asset))
    response["Content-Disposition"] = disposition or "attachment"


def _file_name(asset: Asset) -> str:
    """The name it came with, under the suffix that fits what it is."""
    suffix = suffix_of(asset.content_type)
    name = asset.file_name or asset.object_key.rpartition("/")[2]
    if suffix == ".bin" or name.lower().endswith(suffix):
        return name
    return name.rpartition(".")[0] + suffix if "." in name else name + suffix


def _etag(asset: Asset) -> str:
    return f'"{asset.sha256}"'
