"""The real server with many callers who wait: they hold no thread, others are served, and all get their answer."""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from abilities.models import Ability, Invocation, Task
from executors.models import Executor, Lease
from tests.abilities.conftest import Api, png_base64
from tests.flows.processes import Processes, wait_until
from tests.simulators.comfyui import ComfyUISimulator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.process, pytest.mark.timeout(180)]

CALLERS = 200


@pytest.fixture
def processes(tmp_path: Path, transactional_db: None) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.kill()
    print(found.logs())


class Callers:
    """So many sync invokes at once, each on a connection of its own, from one thread of the test."""

    def __init__(self, url: str, token: str, *, count: int, wait_s: float = 100) -> None:
        self.url, self.token, self.count = f"{url}?wait={wait_s}", token, count
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._thread.join(120)

    async def _all(self) -> None:
        limits = aiohttp.ClientTimeout(total=110)
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=limits, headers=headers
        ) as session:
            await asyncio.gather(*(self._one(session) for _ in range(self.count)), return_exceptions=True)

    async def _one(self, session: aiohttp.ClientSession) -> None:
        async with session.post(self.url, json={"imageBase64": png_base64()}) as response:
            self.answers.append((response.status, await response.json()))


def typical_s(url: str, *, times: int = 9) -> float:
    """The median time of one answer."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        assert requests.get(url, timeout=30).status_code == 200
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def threads_of(processes: Processes, name: str) -> int:
    return len(os.listdir(f"/proc/{processes._running[name].pid}/task"))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads by /proc")
def test_R29_R3_two_hundred_waiting_callers_hold_no_thread_and_delay_nobody(
    api: Api,
    invert: Ability,
    upscale: Ability,
    executor: Executor,
    node: ComfyUISimulator,
    processes: Processes,
) -> None:
    Executor.objects.update(max_concurrency=CALLERS, queue_limit=CALLERS)
    node.worker.holds_jobs = True
    processes.start("web", "worker", "poller")
    listing = f"{processes.url}/api/abilities"
    typical_s(listing)
    idle_s, idle_threads = typical_s(listing), threads_of(processes, "web")
    with Callers(f"{processes.url}/api/abilities/{invert.id}/invoke", api.text, count=CALLERS) as callers:
        wait_until(
            lambda: Invocation.objects.filter(step="waiting").count() == CALLERS, timeout_s=90, what="all are sent"
        )
        assert not callers.answers
        busy_s, busy_threads = typical_s(listing), threads_of(processes, "web")
        assert busy_threads < idle_threads + 60, (idle_threads, busy_threads)
        assert busy_s < 10 * idle_s + 0.5, (idle_s, busy_s)
        assert_others_are_served(processes, api, upscale)
        assert not callers.answers
        node.worker.holds_jobs = False
    assert len(callers.answers) == CALLERS
    assert {(status, answer["status"]) for status, answer in callers.answers} == {(200, "succeeded")}
    assert len({answer["taskId"] for _status, answer in callers.answers}) == CALLERS
    assert len(node.requests_to("POST", "/prompt")) == CALLERS
    assert not Lease.objects.exists()


def assert_others_are_served(processes: Processes, api: Api, upscale: Ability) -> None:
    """R3: an image tool runs, at once and by the queue, while the node is full of work."""
    headers = {"Authorization": f"Bearer {api.text}"}
    body = {"abilityId": upscale.id, "imageBase64": png_base64()}
    done = requests.post(
        f"{processes.url}/api/abilities/{upscale.id}/invoke", json=body, headers=headers, timeout=30
    ).json()
    assert done["status"] == "succeeded", done
    queued = requests.post(f"{processes.url}/api/ability-tasks?wait=20", json=body, headers=headers, timeout=30).json()
    assert queued["status"] == "succeeded", queued


def test_R5_a_result_is_noticed_soon_after_the_node_is_done(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, processes: Processes
) -> None:
    node.worker.holds_jobs = True
    processes.start("worker", "poller")
    body = {"abilityId": invert.id, "imageBase64": png_base64()}
    tasks = [str(api.post("/api/ability-tasks", body).json()["id"]) for _ in range(4)]
    wait_until(lambda: Invocation.objects.filter(step="waiting").count() == len(tasks), what="all are sent")
    delays = []
    for row in Invocation.objects.order_by("id"):
        node.worker.released.add(row.ref)
        node.wait_until(row.ref)
        done_at = time.time()
        wait_until(lambda pk=row.task_id: Task.objects.get(pk=pk).is_terminal, what="the task ends")  # type: ignore[misc]
        delays.append(Task.objects.get(pk=row.task_id).finished_at.timestamp() - done_at)  # type: ignore[union-attr]
    print(f"noticed and stored after {[round(delay, 2) for delay in delays]} s")
    assert max(delays) < 15
    assert {Task.objects.get(pk=task_id).state for task_id in tasks} == {"succeeded"}


def test_R29_a_node_that_takes_connections_and_never_answers_holds_up_no_other_caller(
    api: Api,
    invert: Ability,
    upscale: Ability,
    executor: Executor,
    node: ComfyUISimulator,
    processes: Processes,
) -> None:
    Executor.objects.update(max_concurrency=50, queue_limit=50)
    node.add_fault("POST /upload/image", "hang", times=None)
    processes.start("web", "poller")
    headers = {"Authorization": f"Bearer {api.text}"}
    with Callers(f"{processes.url}/api/abilities/{invert.id}/invoke", api.text, count=16, wait_s=1):
        wait_until(lambda: Task.objects.count() == 16, what="all are taken in")
        assert Invocation.objects.filter(step="sending").count() <= 8
        begun = time.perf_counter()
        done = requests.post(
            f"{processes.url}/api/abilities/{upscale.id}/invoke",
            json={"imageBase64": png_base64()},
            headers=headers,
            timeout=50,
        )
        assert done.json()["status"] == "succeeded"
        assert time.perf_counter() - begun < 20
        processes.kill("web")
