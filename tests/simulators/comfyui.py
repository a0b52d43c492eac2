"""A simulated ComfyUI server: real HTTP and WebSocket, a worker that really makes pictures, scripted misbehaviour.

In a test: `with ComfyUISimulator() as node: ... node.url`. As a program:
`python -m tests.simulators.comfyui --port 8188 --seconds-per-job 2`. From another process: GET /_sim/journal,
POST and DELETE /_sim/fault, POST /_sim/restart, POST /_sim/settings.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from aiohttp import web

from tests.simulators.comfyui_faults import Fault, Faults
from tests.simulators.comfyui_http import MAX_BODY_BYTES, Pages
from tests.simulators.comfyui_nodes import load_definitions
from tests.simulators.comfyui_socket import Hub
from tests.simulators.comfyui_worker import Worker

VERSIONS = ("0.3.64", "0.25.0")
T = TypeVar("T")


class ComfyUISimulator:
    """One node. `folder` survives restarts, as a disk does; queue and history do not."""

    def __init__(
        self,
        *,
        version: str = "0.25.0",
        port: int = 0,
        host: str = "127.0.0.1",
        seconds_per_job: float = 0.0,
        folder: Path | None = None,
    ) -> None:
        if version not in VERSIONS:
            raise ValueError(f"known versions: {', '.join(VERSIONS)}")
        self.version = version
        self.host = host
        self.port = port
        self.seconds_per_job = seconds_per_job
        self.definitions = load_definitions(version)
        self.faults = Faults()
        self.folder = (folder or Path(tempfile.mkdtemp(prefix="comfyui-sim-"))).resolve()
        self._owns_folder = folder is None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="comfyui-http", daemon=True)
        self._runner: web.AppRunner | None = None
        self.worker: Worker
        self.hub: Hub

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Every request so far: method, path, query, headers, body (of JSON), status, at."""
        return self.faults.journal

    def requests_to(self, method: str, path: str) -> list[dict[str, Any]]:
        """The journal's entries for one page."""
        return [entry for entry in self.journal if entry["method"] == method and entry["path"] == path]

    def start(self) -> Self:
        self._thread.start()
        self._boot()
        return self

    def stop(self) -> None:
        """Ends it, threads and files included. May be called twice."""
        if self._loop.is_closed():
            return
        self._shut_down()
        asyncio.run_coroutine_threadsafe(self._cancel_leftovers(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _cancel_leftovers(self) -> None:
        """Requests that still hang (a scripted fault) end with the loop, without a word on the console."""
        leftovers = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leftovers:
            task.cancel()
        await asyncio.gather(*leftovers, return_exceptions=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def kill(self) -> None:
        """The process is gone: connections cut, new ones refused, queue and history lost. `boot` starts it again."""
        self._shut_down()

    def boot(self) -> None:
        """Starts again after `kill`, on the same port, with an empty temp folder."""
        self._boot()

    def restart(self, *, forget: bool = True, seconds: float = 0.0) -> None:
        """Refuses connections for `seconds`, then answers again. Without `forget` only the network was away."""
        kept = self.worker
        self._shut_down(keep_worker=not forget)
        time.sleep(seconds)
        self._boot(worker=None if forget else kept)

    def add_fault(self, route: str, kind: Any, **details: Any) -> None:
        """A rule of `comfyui_faults.Fault`, for example `add_fault("POST /prompt", "cut_after")`."""
        self.faults.add(Fault(route=route, kind=kind, **details))

    def paralyse(self) -> None:
        """From now on the worker takes nothing, while HTTP goes on answering 200."""
        self.worker.is_paralysed = True

    def add_model(self, class_type: str, input_key: str, name: str) -> None:
        """A model file copied in: it shows at once."""
        spec = self.definitions[class_type]["input"]["required"][input_key]
        choices = spec[0] if isinstance(spec[0], list) else spec[1]["options"]
        choices.append(name)

    def remove_node_type(self, class_type: str) -> None:
        """As if the node pack had never been installed."""
        del self.definitions[class_type]

    def wait_until(self, prompt_id: str, *, timeout_s: float = 10.0) -> dict[str, Any]:
        """The history entry of this prompt, once it is there."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if prompt_id in self.worker.history:
                return self.worker.history[prompt_id]
            time.sleep(0.01)
        raise TimeoutError(f"{prompt_id} did not end in {timeout_s} s")

    def wait_for_start(self, prompt_id: str, *, timeout_s: float = 10.0) -> None:
        """Returns once this prompt is the running one."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if any(item[1] == prompt_id for item in self.worker.snapshot()[0]):
                return
            time.sleep(0.005)
        raise TimeoutError(f"{prompt_id} did not start in {timeout_s} s")

    def _boot(self, worker: Worker | None = None) -> None:
        shutil.rmtree(self.folder / "temp", ignore_errors=True)
        for name in ("input", "output", "temp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.hub = Hub()
        if worker is None:
            is_new = not self.version.startswith("0.3.")
            worker = Worker(self.folder, self.hub, is_new=is_new, seconds_per_job=self.seconds_per_job)
        worker.speaker = self.hub
        self.worker = worker
        self._await(self._listen())

    def _shut_down(self, *, keep_worker: bool = False) -> None:
        if not keep_worker:
            threading.Thread(target=self.worker.stop, daemon=True).start()
        self._await(self._unlisten())
        if not keep_worker:
            self.worker.stop()

    async def _listen(self) -> None:
        pages = Pages(self.folder, self.version, self.definitions, self.worker, self.hub)
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self.faults.middleware, pages.guard])
        app.add_routes([*self._own_routes(), *pages.routes()])
        self.hub.loop = asyncio.get_running_loop()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # no public way to it
        self._watch = asyncio.ensure_future(self._die_with(self.worker))

    async def _unlisten(self) -> None:
        self._watch.cancel()
        await self.hub.close_all()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _die_with(self, worker: Worker) -> None:
        """Ends the network when the worker has brought the process down."""
        while not worker.crashed.is_set():
            await asyncio.sleep(0.02)
        await self.hub.close_all()
        if self._runner is not None:
            await self._runner.cleanup()

    def _own_routes(self) -> list[web.RouteDef]:
        async def journal(_request: web.Request) -> web.Response:
            return web.json_response(self.journal)

        async def add_fault(request: web.Request) -> web.Response:
            self.faults.add(Fault(**await request.json()))
            return web.Response()

        async def clear_faults(_request: web.Request) -> web.Response:
            self.faults.clear()
            return web.Response()

        async def restart(request: web.Request) -> web.Response:
            # A moment later, so that this answer still gets out.
            threading.Timer(0.1, self.restart, kwargs=await request.json()).start()
            return web.Response()

        async def settings(request: web.Request) -> web.Response:
            wishes = await request.json()
            self.worker.seconds_per_job = self.seconds_per_job = wishes.get("seconds_per_job", self.seconds_per_job)
            self.worker.durations.extend(wishes.get("durations", []))
            self.worker.is_paralysed = wishes.get("paralysed", self.worker.is_paralysed)
            return web.Response()

        return [
            web.get("/_sim/journal", journal),
            web.post("/_sim/fault", add_fault),
            web.delete("/_sim/fault", clear_faults),
            web.post("/_sim/restart", restart),
            web.post("/_sim/settings", settings),
        ]

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated ComfyUI node for trying PODI without a GPU.")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seconds-per-job", type=float, default=0.0)
    parser.add_argument("--version", choices=VERSIONS, default=VERSIONS[-1])
    parser.add_argument("--folder", type=Path, help="keeps pictures here instead of in a temporary folder")
    chosen = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ComfyUISimulator(
        version=chosen.version,
        port=chosen.port,
        host=chosen.host,
        seconds_per_job=chosen.seconds_per_job,
        folder=chosen.folder,
    ) as node:
        print(f"simulated ComfyUI {node.version} at {node.url}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
