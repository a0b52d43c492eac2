"""Uploads to the simulated Coze, and the pictures its workflows make."""

from __future__ import annotations

import io
import time
import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import web
from PIL import Image, ImageDraw

from tests.simulators.coze_wire import fail, ok

if TYPE_CHECKING:
    from tests.simulators.coze import CozeSimulator


def picture(text: str = "", *, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small PNG that differs with its text."""
    image = Image.new("RGB", size, (sum(text.encode()) % 200, 90, 140))
    ImageDraw.Draw(image).text((2, 2), text[:10].encode("ascii", "replace").decode(), fill=(255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class Files:
    def __init__(self, coze: CozeSimulator) -> None:
        self.coze = coze
        self.uploads: dict[str, tuple[str, bytes]] = {}
        """File id to name and bytes."""
        self.results: dict[str, tuple[str, bytes]] = {}
        """Name to content type and bytes: what a link of ours leads to."""

    def add_result(self, name: str, data: bytes, *, content_type: str = "image/png") -> str:
        """The link under which these bytes lie."""
        self.results[name] = (content_type, data)
        return f"{self.coze.url}/files/{name}"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/files/upload", self.upload),
            web.get("/v1/files/retrieve", self.retrieve),
            web.get("/files/{name}", self.show),
        ]

    async def upload(self, request: web.Request) -> web.Response:
        """One part, named `file`."""
        if request.content_type != "multipart/form-data":
            return fail(4000, "Request parameter error: file")
        parts = [
            (part.name or "", getattr(part, "filename", None) or "", await part.read())  # type: ignore[union-attr]
            async for part in await request.multipart()
        ]
        if [name for name, _file, _data in parts] != ["file"]:
            return fail(4000, "Request parameter error: file")
        _name, file_name, data = parts[0]
        if not data:
            return fail(4302, "The file is empty")
        file_id = str(7_400_000_000_000_000_000 + uuid.uuid4().int % 10**17)
        self.uploads[file_id] = (file_name, data)
        return ok(self._facts(file_id))

    async def retrieve(self, request: web.Request) -> web.Response:
        file_id = request.query.get("file_id", "")
        return ok(self._facts(file_id)) if file_id in self.uploads else fail(4304, "The file does not exist")

    async def show(self, request: web.Request) -> web.Response:
        if request.match_info["name"] not in self.results:
            return web.Response(status=404)
        content_type, data = self.results[request.match_info["name"]]
        return web.Response(body=data, content_type=content_type)

    def _facts(self, file_id: str) -> dict[str, Any]:
        name, data = self.uploads[file_id]
        return {"id": file_id, "bytes": len(data), "file_name": name, "created_at": int(time.time())}
