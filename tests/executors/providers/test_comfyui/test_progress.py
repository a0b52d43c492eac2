"""Listening to a node: nudges come at once, and the traps of its WebSocket cost nothing but progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import websocket

from executors.providers.base import Phase
from executors.providers.comfyui import ComfyUIProvider
from executors.providers.comfyui.progress import Nudge, Pace, watch
from tests.executors.providers.test_comfyui.orders import coloured, endpoint_of, order
from tests.simulators.comfyui import ComfyUISimulator

HASTY = Pace(reconnect_first_s=0.05, renew_every_s=0.1, deaf_after_s=0.1)


class Ears:
    """Collects nudges, with the moment of each."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, Nudge]] = []
        self._news = threading.Condition()

    def __call__(self, nudge: Nudge) -> None:
        with self._news:
            self.heard.append((time.monotonic(), nudge))
            self._news.notify_all()

    def wait_for(self, condition: Callable[[Nudge], bool], *, after: float = 0.0, timeout_s: float = 5.0) -> Nudge:
        def find() -> Nudge | None:
            return next((nudge for at, nudge in self.heard if at >= after and condition(nudge)), None)

        with self._news:
            assert self._news.wait_for(lambda: find() is not None, timeout_s), "nothing heard"
        found = find()
        assert found is not None
        return found

    def kinds(self) -> list[str]:
        return [nudge.kind for _at, nudge in self.heard]


@contextmanager
def listening(
    node: ComfyUISimulator, ears: Ears, client_id: str = "podi-node-a", pace: Pace | None = None
) -> Iterator[None]:
    stop = threading.Event()
    arguments = (endpoint_of(node), client_id, ears, stop)
    thread = threading.Thread(target=watch, args=arguments, kwargs={"pace": pace or Pace(reconnect_first_s=0.05)})
    thread.start()
    try:
        ears.wait_for(lambda nudge: nudge.kind == "back")
        if client_id:
            wait_until(lambda: client_id in node.hub.sockets)
        yield
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


def sampled(seed: int = 0) -> dict[str, Any]:
    """A graph that reports four steps."""
    sleeper = {"image": ["1", 0], "seconds": 0.2, "steps": 4, "report": True, "preview": "none", "seed": 5}
    graph = coloured(seed, **{"2": {"class_type": "RigSleep", "inputs": sleeper}})
    graph["9"]["inputs"]["images"] = ["2", 0]
    return graph


def test_R5_an_end_is_heard_at_once_and_is_then_in_history(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.worker.holds_jobs = True
    ears = Ears()
    with listening(node, ears, client_id=""):
        ref = provider.submit(order(coloured())).ref
        node.wait_for_start(ref)
        time.sleep(0.05)
        released_at = time.monotonic()
        node.worker.released.add(ref)
        while True:
            ears.wait_for(lambda nudge: nudge.kind == "changed", after=released_at)
            if provider.poll([ref])[ref].phase is Phase.SUCCEEDED:
                break
        assert time.monotonic() - released_at < 1.0


def test_progress_of_our_own_prompts_is_heard(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    ears = Ears()
    with listening(node, ears):
        ref = provider.submit(order(sampled())).ref
        ears.wait_for(lambda nudge: nudge.kind == "progress" and nudge.progress == 1.0)
    shares = [nudge.progress for _at, nudge in ears.heard if nudge.ref == ref]
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_ends_of_other_peoples_prompts_nudge_too_but_tell_nothing(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    stranger = ComfyUIProvider(endpoint_of(node, client_id="somebody-else"))
    ears = Ears()
    with listening(node, ears):
        node.wait_until(stranger.submit(order(sampled())).ref)
        ears.wait_for(lambda nudge: nudge.kind == "changed")
    assert "progress" not in ears.kinds()


def test_a_restart_of_the_node_is_heard_as_lost_and_back(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    ears = Ears()
    with listening(node, ears):
        node.kill()
        lost = ears.wait_for(lambda nudge: nudge.kind == "lost")
        assert lost.executor_id == "node-a"
        booted_at = time.monotonic()
        node.boot()
        ears.wait_for(lambda nudge: nudge.kind == "back", after=booted_at)
        wait_until(lambda: "podi-node-a" in node.hub.sockets)
        sent_at = time.monotonic()
        provider.submit(order(sampled()))
        ears.wait_for(lambda nudge: nudge.kind == "progress", after=sent_at)


def test_two_watchers_of_one_node_both_hear_the_bell(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    """The second connection under one client id makes the first deaf, and its end the second: the bell has its own."""
    first, second = Ears(), Ears()
    with listening(node, second):
        with listening(node, first):
            pass
        quiet_since = time.monotonic()
        node.wait_until(provider.submit(order(sampled())).ref)
        second.wait_for(lambda nudge: nudge.kind == "changed", after=quiet_since)


def test_a_deaf_progress_socket_connects_anew(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    ears = Ears()
    with listening(node, ears, pace=HASTY):
        taker = websocket.create_connection(f"{node.url.replace('http', 'ws')}/ws?clientId=podi-node-a", timeout=2)
        taker.recv()
        taker.close()
        wait_until(lambda: "podi-node-a" not in node.hub.sockets)
        time.sleep(0.2)
        node.wait_until(provider.submit(order(sampled(1))).ref)
        wait_until(lambda: "podi-node-a" in node.hub.sockets)
        sent_at = time.monotonic()
        provider.submit(order(sampled(2)))
        ears.wait_for(lambda nudge: nudge.kind == "progress", after=sent_at)


def test_a_node_that_is_away_is_tried_again_without_noise() -> None:
    ears, stop = Ears(), threading.Event()
    with ComfyUISimulator() as node:
        node.kill()
        thread = threading.Thread(target=watch, args=(endpoint_of(node), "", ears, stop), kwargs={"pace": HASTY})
        thread.start()
        time.sleep(0.3)
        assert ears.heard == []
        node.boot()
        ears.wait_for(lambda nudge: nudge.kind == "back")
        stop.set()
        thread.join(5)
    assert ears.kinds()[0] == "back"
