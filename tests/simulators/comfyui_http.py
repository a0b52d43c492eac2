"""The HTTP face of the simulated ComfyUI. aiohttp like the real one, so limits, HEAD, ranges and 500s are the same."""

from __future__ import annotations

import io
import json
import mimetypes
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from PIL import Image

from tests.simulators.comfyui_nodes import RECORDINGS
from tests.simulators.comfyui_socket import Hub
from tests.simulators.comfyui_validation import Validator
from tests.simulators.comfyui_worker import Worker

MAX_BODY_BYTES = 104857600
_KINDS = ("input", "output", "temp")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
_BAD_ID = {
    "type": "invalid_prompt_id",
    "message": "prompt_id must be a valid UUID",
    "details": "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
    "omit it to let the server generate one",
    "extra_info": {},
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """The handlers of one server process."""

    def __init__(self, folder: Path, version: str, definitions: dict[str, Any], worker: Worker, hub: Hub) -> None:
        self.folder = folder
        self.is_new = not version.startswith("0.3.")
        self.definitions = definitions
        self.worker = worker
        self.hub = hub
        self.system = json.loads((RECORDINGS / version / "system.json").read_text())
        self.folders = json.loads((RECORDINGS / version / "models.json").read_text())["models"]["response"]["body"]

    def routes(self) -> list[web.RouteDef]:
        """Every page with and without /api in front."""
        pages = [
            web.get("/prompt", self.get_prompt),
            web.post("/prompt", self.post_prompt),
            web.get("/queue", self.get_queue),
            web.post("/queue", self.post_queue),
            web.get("/history", self.get_history),
            web.post("/history", self.post_history),
            web.get("/history/{prompt_id}", self.get_history_entry),
            web.post("/interrupt", self.post_interrupt),
            web.post("/free", self.post_free),
            web.post("/upload/image", self.upload_image),
            web.get("/view", self.view),
            web.get("/object_info", self.get_object_info),
            web.get("/object_info/{name}", self.get_object_info),
            web.get("/models", self.get_models),
            web.get("/models/{folder}", self.get_model_folder),
            web.get("/ws", self.open_socket),
        ]
        fixed = ("system_stats", "features", "users", "embeddings", "extensions")
        pages += [web.get(f"/{name}", _recorded(self.system[name]["response"]["body"])) for name in fixed]
        prefixed = [web.RouteDef(page.method, f"/api{page.path}", page.handler, page.kwargs) for page in pages]
        return [*pages, *prefixed, web.get("/", self.get_root), web.get("/{rest:.+}", self.get_nothing)]

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuses what a browser would send from another site, as the real server does on a loopback name."""
        if request.method == "OPTIONS":
            return web.Response()
        origin = request.headers.get("Origin")
        is_loopback = (request.host.partition(":")[0]) in ("127.0.0.1", "localhost")
        if origin and is_loopback and urlsplit(origin).netloc != request.host:
            return web.Response(status=403)
        if self.is_new and request.headers.get("Sec-Fetch-Site") == "cross-site":
            return web.Response(status=403)
        return await handler(request)

    async def get_root(self, _request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>rig</title>\n", content_type="text/html")

    async def get_nothing(self, _request: web.Request) -> web.Response:
        """Every other GET ends at the folder of static files: 404 there, not 405."""
        return web.Response(status=404, content_type="application/octet-stream")

    async def get_prompt(self, _request: web.Request) -> web.Response:
        return _json({"exec_info": {"queue_remaining": self.worker.remaining()}})

    async def post_prompt(self, request: web.Request) -> web.Response:
        data = json.loads(await request.read())
        if "number" in data:
            number = float(data["number"])
        else:
            number = self.worker.next_number()
            if "front" in data and data["front"]:  # noqa: RUF019  # a list is no object, yet no fault here
                number = -number
        if "prompt" not in data:
            error = {
                "type": "no_prompt",
                "message": "No prompt provided",
                "details": "No prompt provided",
                "extra_info": {},
            }
            return _json({"error": error, "node_errors": {}}, status=400)
        if self.is_new and data.get("prompt_id") is not None and not _is_canonical_uuid(data["prompt_id"]):
            return _json({"error": _BAD_ID, "node_errors": {}}, status=400)
        prompt_id = self._prompt_id(data)
        validator = Validator(self.list_inputs(), self.folder, is_new=self.is_new)
        is_valid, error, outputs, node_errors = validator.judge(data["prompt"], data.get("partial_execution_targets"))
        extra = data.get("extra_data", {})
        if "client_id" in data:
            extra["client_id"] = data["client_id"]
        if not is_valid:
            return _json({"error": error, "node_errors": node_errors}, status=400)
        if self.is_new:
            extra["create_time"] = int(time.time() * 1000)
        self.worker.put((number, prompt_id, data["prompt"], extra, outputs))
        return _json({"prompt_id": prompt_id, "number": number, "node_errors": node_errors})

    def _prompt_id(self, data: dict[str, Any]) -> str:
        if self.is_new and data.get("prompt_id") is None:
            return str(uuid.uuid4())
        return str(data.get("prompt_id", uuid.uuid4()))

    async def get_queue(self, _request: web.Request) -> web.Response:
        running, pending = self.worker.snapshot()
        return _json({"queue_running": running, "queue_pending": pending})

    async def post_queue(self, request: web.Request) -> web.Response:
        data = json.loads(await request.read())
        if data.get("clear"):
            self.worker.clear_pending()
        for prompt_id in data.get("delete", []):
            self.worker.delete_pending(prompt_id)
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        entries = list(self.worker.history.items())
        count = int(request.query["max_items"]) if "max_items" in request.query else None
        start = int(request.query.get("offset", -1))
        if count is not None:
            count = max(0, count)
            start = max(0, len(entries) - count) if start < 0 else start
            entries = entries[start : start + count]
        elif start > 0:
            entries = entries[start:]
        return _json(dict(entries))

    async def get_history_entry(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        history = self.worker.history
        return _json({prompt_id: history[prompt_id]} if prompt_id in history else {})

    async def post_history(self, request: web.Request) -> web.Response:
        data = json.loads(await request.read())
        if data.get("clear"):
            self.worker.history.clear()
        for prompt_id in data.get("delete", []):
            self.worker.history.pop(prompt_id, None)
        return web.Response()

    async def post_interrupt(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.worker.interrupt(json.loads(body).get("prompt_id") if body else None)
        return web.Response()

    async def post_free(self, request: web.Request) -> web.Response:
        if json.loads(await request.read()).get("free_memory"):
            self.worker.free()
        return web.Response()

    async def upload_image(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form.get("image")
        if image is None:
            return web.Response(status=400)
        content = image.file.read()  # type: ignore[union-attr]  # a text field is a 500 here, as on the real server
        name, kind = image.filename, str(form.get("type") or "input")  # type: ignore[union-attr]
        if kind not in _KINDS or name.startswith("/"):
            raise ValueError("unknown type or absolute name")
        top = self.folder / kind
        subfolder = str(form.get("subfolder") or "")
        target = Path(os.path.abspath(top / os.path.normpath(subfolder) / name))
        if not target.is_relative_to(top):
            return web.Response(status=400)
        (top / subfolder).mkdir(parents=True, exist_ok=True)
        if form.get("overwrite") not in ("true", "1"):
            name, target = _free_name(name, target, content)
        target.write_bytes(content)
        return _json({"name": name, "subfolder": subfolder, "type": kind})

    async def view(self, request: web.Request) -> web.StreamResponse:
        if "filename" not in request.query:
            return web.Response(status=404)
        name, kind = request.query["filename"], request.query.get("type", "output")
        for known in _KINDS:
            if name.endswith(f" [{known}]"):
                name, kind = name.removesuffix(f" [{known}]"), known
        if not name or name.startswith("/") or ".." in name or kind not in _KINDS:
            return web.Response(status=400)
        top = self.folder / kind
        folder = Path(os.path.abspath(top / request.query.get("subfolder", "")))
        if not folder.is_relative_to(top):
            return web.Response(status=403)
        # Only the last part of the name counts: without the subfolder a namesake in the top folder is served.
        path = folder / Path(name).name
        if not path.is_file():
            return web.Response(status=404)
        disposition = {"Content-Disposition": f'filename="{path.name}"'}
        if "preview" in request.query:
            return _preview(path, request.query["preview"], disposition)
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return web.FileResponse(path, headers={**disposition, "Content-Type": content_type})

    def list_inputs(self) -> dict[str, Any]:
        """The definitions with the pictures that lie directly in the input folder, as they are now."""
        files = [path.name for path in (self.folder / "input").iterdir() if path.is_file()]
        choices = sorted(name for name in files if name.lower().endswith(_IMAGE_SUFFIXES))
        for name in ("LoadImage", "LoadImageMask"):
            self.definitions[name]["input"]["required"]["image"][0] = choices
        return self.definitions

    async def get_object_info(self, request: web.Request) -> web.Response:
        definitions = self.list_inputs()
        name = request.match_info.get("name")
        if name is None:
            return _json(definitions)
        return _json({name: definitions[name]} if name in definitions else {})

    async def get_models(self, _request: web.Request) -> web.Response:
        return _json(self.folders)

    async def get_model_folder(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        if folder not in self.folders:
            return web.Response(status=404)
        loader = {
            "checkpoints": ("CheckpointLoaderSimple", "ckpt_name"),
            "loras": ("LoraLoader", "lora_name"),
            "text_encoders": ("CLIPLoader", "clip_name"),
            "diffusion_models": ("UNETLoader", "unet_name"),
            "vae": ("VAELoader", "vae_name"),
        }.get(folder)
        if loader is None:
            return _json([])
        names = self.definitions[loader[0]]["input"]["required"][loader[1]][0]
        return _json([name for name in names if name != "pixel_space"])

    async def open_socket(self, request: web.Request) -> web.StreamResponse:
        frames: list[dict[str, Any]] = [
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": self.worker.remaining()}}}}
        ]
        if self.worker.current_client == request.query.get("clientId") and self.worker.current_node is not None:
            frames.append({"type": "executing", "data": {"node": self.worker.current_node}})
        return await self.hub.connect(request, frames)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


def _recorded(body: Any) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return _json(body)

    return handler


def _is_canonical_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _free_name(name: str, target: Path, content: bytes) -> tuple[str, Path]:
    """The name itself, or with (1), (2)... the first that is free or already holds these very bytes."""
    stem, suffix = os.path.splitext(name)
    number = 0
    while target.exists() and target.read_bytes() != content:
        number += 1
        name = f"{stem} ({number}){suffix}"
        target = target.with_name(Path(name).name)
    return name, target


def _preview(path: Path, wish: str, headers: dict[str, str]) -> web.Response:
    kind, _, quality = wish.partition(";")
    buffer = io.BytesIO()
    Image.open(path).convert("RGB").save(buffer, format=kind, quality=int(quality or 90))
    return web.Response(body=buffer.getvalue(), headers={**headers, "Content-Type": f"image/{kind}"})
