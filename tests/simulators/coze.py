"""A simulated Coze: workflow runs, chats with local tools, files, tokens; real HTTP, scripted misbehaviour.

In a test: `with CozeSimulator() as coze: ... coze.url`. As a program:
`python -m tests.simulators.coze --port 8190 --seconds-per-run 2`. From another process: GET /_sim/journal,
POST and DELETE /_sim/fault, POST /_sim/script (rounds of the next chat).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import jwt
from aiohttp import web

from tests.simulators.comfyui_faults import Fault, Faults
from tests.simulators.coze_chats import Chats, round_of
from tests.simulators.coze_files import Files
from tests.simulators.coze_runs import Runs
from tests.simulators.coze_wire import fail, ok

TOKEN = "pat_invented-for-tests-4711"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAX_BODY_BYTES = 64 * 1024 * 1024
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CozeSimulator:
    """The cloud, or with `flavour="studio"` the open-source server, whose paths and shapes differ in places."""

    def __init__(
        self,
        *,
        flavour: Literal["cloud", "studio"] = "cloud",
        token: str = TOKEN,
        host: str = "127.0.0.1",
        port: int = 0,
        seconds_per_run: float = 0.0,
    ) -> None:
        self.flavour = flavour
        self.tokens = {token}
        self.host = host
        self.port = port
        self.faults = Faults()
        self.apps: dict[str, tuple[str, str]] = {}
        """OAuth apps: id to (key id, public key as PEM)."""
        self._assertions: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="coze-http", daemon=True)
        self._runner: web.AppRunner | None = None
        self.files = Files(self)
        self.runs = Runs(self, seconds_per_run=seconds_per_run)
        self.chats = Chats(self)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Every request so far: method, path (without /api), query, headers, body (of JSON), status, at."""
        return self.faults.journal

    def requests_to(self, method: str, path: str) -> list[dict[str, Any]]:
        return [entry for entry in self.journal if entry["method"] == method and entry["path"] == path]

    def add_fault(self, route: str, kind: Any, **details: Any) -> None:
        """A rule of `comfyui_faults.Fault`, for example `add_fault("POST /v1/workflow/run", "cut_after")`."""
        self.faults.add(Fault(route=route, kind=kind, **details))

    def start(self) -> Self:
        self._thread.start()
        self._await(self._listen())
        return self

    def stop(self) -> None:
        if self._loop.is_closed():
            return
        self._await(self._unlisten())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def restart(self) -> None:
        """Cuts every connection and answers again at once. Runs and chats go on, as in a service of many servers."""
        self._await(self._unlisten())
        self._await(self._listen())

    async def _listen(self) -> None:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self.faults.middleware, self._guard])
        app.add_routes(
            [
                web.post("/api/permission/oauth2/token", self._swap),
                web.get("/v1/users/me", self._me),
                *self.files.routes(),
                *self.runs.routes(),
                *(self.chats.routes() if self.flavour == "cloud" else ()),
                web.get("/_sim/journal", self._journal),
                web.post("/_sim/fault", self._add_fault),
                web.delete("/_sim/fault", self._clear_faults),
                web.post("/_sim/script", self._script),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # no public way to it

    async def _unlisten(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The bearer token, asked for everywhere but where a token is had and where results lie."""
        if request.path.startswith(("/_sim", "/files/", "/api/permission")):
            return await handler(request)
        if request.headers.get("Authorization", "") not in {f"Bearer {token}" for token in self.tokens}:
            if self.flavour == "studio":
                return fail(700012006, "authentication failed: invalid token", flavour="studio")
            return fail(4100, "The token you entered is incorrect. Please check the token.", status=401)
        return await handler(request)

    async def _me(self, _request: web.Request) -> web.Response:
        if self.flavour == "studio":
            return web.Response(status=404, text="404 page not found")
        return ok({"user_id": "77", "user_name": "podi", "nick_name": "PODI", "avatar_url": ""})

    async def _swap(self, request: web.Request) -> web.Response:
        """An assertion of an OAuth app for a token. `expires_in` is a moment, as the real one's is."""
        body = await request.json()
        assertion = request.headers.get("Authorization", "").removeprefix("Bearer ")
        problem = self._find_problem(assertion, host=urlsplit(self.url).hostname or "")
        if body.get("grant_type") != GRANT:
            problem = "unsupported grant type"
        if problem:
            return web.json_response({"error_code": "invalid_request", "error_message": problem}, status=400)
        token = f"oauth_{uuid.uuid4().hex}"
        self.tokens.add(token)
        expires = int(time.time()) + int(body.get("duration_seconds") or 900)
        return web.json_response({"access_token": token, "expires_in": expires, "token_type": "Bearer"})

    def _find_problem(self, assertion: str, *, host: str) -> str:
        try:
            kid = jwt.get_unverified_header(assertion)["kid"]
            public = next(key for key_id, key in self.apps.values() if key_id == kid)
            claims = jwt.decode(assertion, public, algorithms=["RS256"], audience=host)
        except (jwt.PyJWTError, KeyError, StopIteration) as error:
            return f"invalid jwt: {type(error).__name__}"
        if claims["iss"] not in self.apps or claims["exp"] - claims["iat"] > 3600:
            return "invalid jwt: claims"
        if claims["jti"] in self._assertions:
            return "invalid jwt: jti was used"
        self._assertions.add(claims["jti"])
        return ""

    async def _journal(self, _request: web.Request) -> web.Response:
        return web.json_response(self.journal)

    async def _add_fault(self, request: web.Request) -> web.Response:
        self.faults.add(Fault(**await request.json()))
        return web.Response()

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self.faults.clear()
        return web.Response()

    async def _script(self, request: web.Request) -> web.Response:
        self.chats.script(*(round_of(item) for item in json.loads(await request.read())))
        return web.Response()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated Coze for trying PODI without an account.")
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--flavour", choices=("cloud", "studio"), default="cloud")
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--seconds-per-run", type=float, default=0.5)
    chosen = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with CozeSimulator(
        flavour=chosen.flavour,
        token=chosen.token,
        host=chosen.host,
        port=chosen.port,
        seconds_per_run=chosen.seconds_per_run,
    ) as coze:
        print(f"simulated Coze ({coze.flavour}) at {coze.url}, token {chosen.token}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
