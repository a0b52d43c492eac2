"""A light upstream that speaks ComfyUI's protocol and does no work: any number of jobs run at once, for N seconds each.

The simulator under `tests/simulators` really makes pictures, which would be measured too. Each path prefix (`/n0`,
`/n1`, ...) is a node of its own. `python -m tests.bench.node` prints its port and ends when its input is closed.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import threading
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.bench.pictures import tiny_png
from tests.simulators.comfyui_nodes import load_definitions

FOREVER = float("inf")


@dataclass
class Job:
    """One prompt; over once the wall clock has passed `ends_at`."""

    number: int
    graph: dict[str, Any]
    extra: dict[str, Any]
    ends_at: float

    def item(self, ref: str) -> list[Any]:
        return [self.number, ref, self.graph, self.extra, ["9"]]


@dataclass
class Light:
    """All nodes of this process. A node shows its first open job as running and the others as waiting."""

    seconds: float = 0.0
    number: int = 0
    open: dict[str, dict[str, Job]] = field(default_factory=dict)
    ended: dict[str, dict[str, Job]] = field(default_factory=dict)
    prompts: int = 0

    def take(self, node: str, ref: str, graph: Any, extra: Any, *, seconds: float) -> int:
        self.number += 1
        job = Job(self.number, graph, extra, time.time() + seconds)
        self.open.setdefault(node, {})[ref] = job
        return self.number

    def settle(self, node: str) -> dict[str, Job]:
        """Moves what is over to the history; the open jobs."""
        jobs, now = self.open.setdefault(node, {}), time.time()
        over = [ref for ref, job in jobs.items() if job.ends_at <= now]
        for ref in over:
            self.ended.setdefault(node, {})[ref] = jobs.pop(ref)
        return jobs

    async def prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.prompts += 1
        ref, node = body["prompt_id"], request.match_info["node"]
        number = self.take(node, ref, body["prompt"], body.get("extra_data", {}), seconds=self.seconds)
        return web.json_response({"prompt_id": ref, "number": number, "node_errors": {}})

    async def queue(self, request: web.Request) -> web.Response:
        items = [job.item(ref) for ref, job in self.settle(request.match_info["node"]).items()]
        return web.json_response({"queue_running": items[:1], "queue_pending": items[1:]})

    async def history(self, request: web.Request) -> web.Response:
        node, ref = request.match_info["node"], request.match_info["ref"]
        self.settle(node)
        job = self.ended.get(node, {}).get(ref)
        return web.json_response({} if job is None else {ref: _entry(ref, job)})

    async def forget(self, request: web.Request) -> web.Response:
        for ref in (await request.json()).get("delete", []):
            self.ended.get(request.match_info["node"], {}).pop(ref, None)
        return web.Response()

    async def view(self, request: web.Request) -> web.Response:
        return web.Response(body=_unlike_any_other(request.query["filename"]), content_type="image/png")

    async def stats(self, _request: web.Request) -> web.Response:
        system = {"os": "posix", "comfyui_version": "0.25.0", "ram_total": 1, "ram_free": 1, "python_version": "3.11"}
        return web.json_response({"system": system, "devices": []})

    async def object_info(self, _request: web.Request) -> web.Response:
        return web.json_response(load_definitions("0.25.0"))

    async def settings(self, request: web.Request) -> web.Response:
        self.seconds = (await request.json())["seconds"]
        return web.Response()

    async def adopt(self, request: web.Request) -> web.Response:
        """Open jobs that end at given moments (null: never), as if they had been sent here."""
        body = await request.json()
        for ref, ends_at in body["jobs"].items():
            self.take(body["node"], ref, body["graph"], body["extra"], seconds=0)
            self.open[body["node"]][ref].ends_at = FOREVER if ends_at is None else ends_at
        return web.Response()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.add_routes(
            [
                web.post("/_bench/settings", self.settings),
                web.post("/_bench/adopt", self.adopt),
                web.post("/{node}/prompt", self.prompt),
                web.get("/{node}/queue", self.queue),
                web.get("/{node}/history/{ref}", self.history),
                web.post("/{node}/history", self.forget),
                web.get("/{node}/view", self.view),
                web.get("/{node}/system_stats", self.stats),
                web.get("/{node}/object_info", self.object_info),
            ]
        )
        return app


def _entry(ref: str, job: Job) -> dict[str, Any]:
    at = int(job.ends_at * 1000) if job.ends_at != FOREVER else 0
    messages = [[name, {"prompt_id": ref, "timestamp": at}] for name in ("execution_start", "execution_success")]
    return {
        "prompt": job.item(ref),
        "outputs": {"9": {"images": [{"filename": f"{ref}.png", "subfolder": "", "type": "output"}]}},
        "status": {"status_str": "success", "completed": True, "messages": messages},
    }


def _unlike_any_other(name: str) -> bytes:
    """The same small picture with another comment, so that no two results are stored as one."""
    head, tail = _PICTURE[:33], _PICTURE[33:]
    content = b"tEXtComment\0" + name.encode()
    return head + struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content)) + tail


_PICTURE = tiny_png()


async def _serve() -> None:
    runner = web.AppRunner(Light().application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    print(json.dumps({"port": port}), flush=True)
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(closed.set)), daemon=True).start()
    await closed.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
