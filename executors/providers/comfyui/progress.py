"""Listens to a node's WebSocket, so that a result is noticed at once and progress is seen. Never needed to be right.

Two sockets, because of how a node treats client ids:

- the bell connects under a fresh id each time. `status` frames go to every socket, whoever sent the prompt, and the one
  after a run comes only when its history entry is there. Each is passed on as "ask this node now".
- the progress socket connects under the fixed id that our prompts carry, since run frames go only to that one. When two
  processes share the id, the newer connection takes it over, and when the older closes, the newer goes deaf while it
  stays open. So a silence there means nothing; when the bell hears frames that this socket does not, it connects
  anew, at most once a minute. Only progress is lost meanwhile.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import websocket

from executors.providers.base import Endpoint, Nudge
from executors.providers.comfyui.refusals import as_mapping

_HEARTBEAT_S = 0.5
_FAILURES = (websocket.WebSocketException, OSError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How patient a watcher is, in seconds."""

    reconnect_first_s: float = 1.0
    reconnect_max_s: float = 30.0
    """The pause before connecting again doubles from the first to this."""
    ping_every_s: float = 30.0
    deaf_after_s: float = 3.0
    """So far may the progress socket fall behind the bell."""
    renew_every_s: float = 60.0
    """So long a progress socket is kept at least: two watchers that share an id must not chase each other."""


OnNudge = Callable[[Nudge], None]
USUAL_PACE = Pace()


def watch(
    endpoint: Endpoint,
    client_id: str,
    on_nudge: OnNudge,
    stop_event: threading.Event,
    *,
    pace: Pace = USUAL_PACE,
) -> None:
    """Listens until `stop_event` is set, reconnecting for ever. Blocks; run it in a thread of its own.

    `client_id` is `ComfyUIProvider.client_id`; empty means no progress, only the bell. `on_nudge` is called from these
    threads, must be quick and must not raise.
    """
    bell = _Listener(endpoint, on_nudge, stop_event, pace)
    threads = [threading.Thread(target=bell.run, name=f"comfyui-bell-{endpoint.executor_id}", daemon=True)]
    if client_id:
        listener = _Listener(endpoint, on_nudge, stop_event, pace, client_id=client_id, bell=bell)
        threads.append(
            threading.Thread(target=listener.run, name=f"comfyui-progress-{endpoint.executor_id}", daemon=True)
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_progress(frame: Mapping[str, Any]) -> tuple[str, float] | None:
    """The prompt and its progress in a `progress` frame; None for any other frame."""
    data = as_mapping(frame.get("data"))
    value, maximum = data.get("value"), data.get("max")
    if frame.get("type") != "progress" or not isinstance(data.get("prompt_id"), str):
        return None
    if not isinstance(value, int | float) or not isinstance(maximum, int | float) or maximum <= 0:
        return None
    return data["prompt_id"], min(1.0, max(0.0, value / maximum))


class _Listener:
    """One socket that is kept open. Without a client id it is the bell."""

    def __init__(
        self,
        endpoint: Endpoint,
        on_nudge: OnNudge,
        stop_event: threading.Event,
        pace: Pace,
        *,
        client_id: str = "",
        bell: _Listener | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.on_nudge = on_nudge
        self.stop_event = stop_event
        self.pace = pace
        self.client_id = client_id
        self.bell = bell
        self.heard_at = 0.0
        self.connected_at = 0.0

    def run(self) -> None:
        pause_s = self.pace.reconnect_first_s
        while not self.stop_event.is_set():
            try:
                with self._connect() as socket:
                    pause_s = self.pace.reconnect_first_s
                    self._tell("back")
                    self._listen(socket)
            except _FAILURES:
                # Nothing to decide here: the poller asks the node anyway and will say what is wrong with it.
                pass
            if self.connected_at:
                self.connected_at = 0.0
                self._tell("lost")
            self.stop_event.wait(pause_s)
            pause_s = min(self.pace.reconnect_max_s, pause_s * 2)

    @contextmanager
    def _connect(self) -> Iterator[websocket.WebSocket]:
        token = self.endpoint.secrets.get("token", "")
        client_id = self.client_id or f"podi-bell-{uuid.uuid4()}"
        socket = websocket.create_connection(
            _socket_url(self.endpoint.base_url, client_id),
            timeout=self.endpoint.connect_timeout_s,
            header=[f"Authorization: Bearer {token}"] if token else [],
            suppress_origin=True,  # a node refuses an Origin that is not its own
            http_no_proxy=["*"],
        )
        try:
            socket.settimeout(_HEARTBEAT_S)
            self.connected_at = self.heard_at = time.monotonic()
            yield socket
        finally:
            socket.close(timeout=1)

    def _listen(self, socket: websocket.WebSocket) -> None:
        pinged_at = 0.0
        while not self.stop_event.is_set():
            if self._is_deaf():
                return
            try:
                code, data = socket.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException:
                now = time.monotonic()
                if now - self.heard_at > 2 * self.pace.ping_every_s:
                    return  # not even a pong: the line is dead
                if now - max(self.heard_at, pinged_at) > self.pace.ping_every_s:
                    socket.ping()
                    pinged_at = now
                continue
            if code == websocket.ABNF.OPCODE_CLOSE:
                return
            self.heard_at = time.monotonic()
            if code == websocket.ABNF.OPCODE_TEXT:
                self._read(json.loads(data))

    def _read(self, frame: Any) -> None:
        if self.bell is None:
            if as_mapping(frame).get("type") == "status":
                self._tell("changed")
        elif (found := read_progress(as_mapping(frame))) is not None:
            self.on_nudge(
                Nudge(kind="progress", executor_id=self.endpoint.executor_id, ref=found[0], progress=found[1])
            )

    def _is_deaf(self) -> bool:
        """Whether the bell has heard what this socket should have heard too. Renews at most once a minute."""
        if self.bell is None or time.monotonic() - self.connected_at < self.pace.renew_every_s:
            return False
        return self.bell.heard_at - self.heard_at > self.pace.deaf_after_s

    def _tell(self, kind: Literal["changed", "lost", "back"]) -> None:
        if self.bell is None:
            self.on_nudge(Nudge(kind=kind, executor_id=self.endpoint.executor_id))


def _socket_url(base_url: str, client_id: str) -> str:
    parts = urlsplit(base_url.strip().rstrip("/"))
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}{parts.path}/ws?clientId={quote(client_id, safe='')}"
