"""kill -9 of any process at any step: the right end, one submit on the node, one callback delivered or still due."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from abilities.models import Ability, Invocation, Task
from executors.models import Executor, Lease
from podi.events.models import Delivery
from tests.abilities.conftest import Api, png_base64
from tests.flows.processes import Processes, wait_until
from tests.simulators.comfyui import ComfyUISimulator
from tests.simulators.receiver import Receiver, Reply

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture
def processes(tmp_path: Path, transactional_db: None) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.kill()
    print(found.logs())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def create(api: Api, ability: Ability, receiver: Receiver) -> str:
    body = {"abilityId": ability.id, "imageBase64": png_base64(), "callbackUrl": receiver.url()}
    response = api.post("/api/ability-tasks", body)
    assert response.status_code == 200, response.content
    return str(response.json()["id"])


def ends(task_id: str) -> bool:
    return Task.objects.get(pk=task_id).is_terminal


def has(node: ComfyUISimulator, method: str, path: str) -> bool:
    """The node has read such a request whole; one whose sender dies half-way was never taken."""
    return any(path != "/prompt" or "body" in entry for entry in node.requests_to(method, path))


def assert_done_once(task_id: str, node: ComfyUISimulator, receiver: Receiver) -> None:
    wait_until(lambda: ends(task_id), what="the task ends")
    task = Task.objects.get(pk=task_id)
    assert task.state == "succeeded", (task.error_code, task.error_message)
    assert len(node.requests_to("POST", "/prompt")) == 1
    wait_until(lambda: Delivery.objects.get().state == "delivered", what="the callback is delivered")
    assert len({call.headers["webhook-id"] for call in receiver.journal}) == 1
    assert Invocation.objects.filter(task=task, status="success").count() == 1
    assert not Invocation.objects.filter(task=task, status="pending").exists()
    assert not Lease.objects.exists()


def test_R1_R8_worker_killed_before_it_sent(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, processes: Processes, receiver: Receiver
) -> None:
    node.add_fault("POST /upload/image", "hang")
    processes.start("worker", "poller")
    task_id = create(api, invert, receiver)
    wait_until(lambda: has(node, "POST", "/upload/image"), what="the worker uploads")
    processes.kill("worker")
    processes.start("worker")
    assert_done_once(task_id, node, receiver)
    statuses = Invocation.objects.order_by("attempt").values_list("status", flat=True)
    assert list(statuses) == ["interrupted", "success"]


def test_R1_worker_killed_after_it_sent(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, processes: Processes, receiver: Receiver
) -> None:
    node.add_fault("POST /prompt", "hang_after")
    processes.start("worker", "poller")
    task_id = create(api, invert, receiver)
    wait_until(lambda: has(node, "POST", "/prompt"), what="the worker sends")
    processes.kill("worker")
    processes.start("worker")
    assert_done_once(task_id, node, receiver)
    assert Task.objects.get(pk=task_id).attempt == 1


def test_R1_R2_everything_killed_while_the_node_works(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, processes: Processes, receiver: Receiver
) -> None:
    node.worker.holds_jobs = True
    processes.start("worker", "poller")
    task_id = create(api, invert, receiver)
    wait_until(lambda: Invocation.objects.filter(step="waiting").exists(), what="the node has it")
    processes.kill()
    node.worker.holds_jobs = False
    processes.start("worker", "poller")
    assert_done_once(task_id, node, receiver)


def test_worker_killed_while_it_stores(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, processes: Processes, receiver: Receiver
) -> None:
    node.add_fault("GET /view", "hang")
    processes.start("worker", "poller")
    task_id = create(api, invert, receiver)
    wait_until(lambda: has(node, "GET", "/view"), what="the worker fetches the result")
    processes.kill("worker")
    processes.start("worker")
    assert_done_once(task_id, node, receiver)


def test_R10_poller_killed_while_it_calls_back(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, processes: Processes, receiver: Receiver
) -> None:
    receiver.script(Reply(hang=True))
    processes.start("worker", "poller")
    task_id = create(api, invert, receiver)
    wait_until(lambda: receiver.journal, what="the callback is on its way")
    processes.kill("poller")
    assert Delivery.objects.get().state == "pending"
    processes.start("poller")
    wait_until(lambda: Delivery.objects.get().state == "delivered", timeout_s=90, what="delivered after all")
    assert_done_once(task_id, node, receiver)


def test_web_killed_in_the_middle_of_a_sync_invoke(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, processes: Processes, receiver: Receiver
) -> None:
    node.add_fault("POST /prompt", "hang_after")
    processes.start("web", "worker", "poller")
    body = {"imageBase64": png_base64(), "callbackUrl": receiver.url()}
    failures: list[Any] = []

    def invoke() -> None:
        try:
            requests.post(
                f"{processes.url}/api/abilities/{invert.id}/invoke",
                json=body,
                headers={"Authorization": f"Bearer {api.text}"},
                timeout=30,
            )
        except requests.ConnectionError as error:
            failures.append(error)

    caller = threading.Thread(target=invoke)
    caller.start()
    wait_until(lambda: has(node, "POST", "/prompt"), what="web sends")
    processes.kill("web")
    caller.join(10)
    assert failures, "the caller sees a cut connection"
    assert_done_once(Task.objects.get().pk, node, receiver)


def test_R2_two_workers_and_two_pollers_do_everything_once(
    api: Api,
    invert: Ability,
    executor: Executor,
    node: ComfyUISimulator,
    processes: Processes,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    second = Processes(tmp_path / "second")
    second.folder.mkdir()
    try:
        processes.start("worker", "poller")
        second.start("worker", "poller")
        tasks = [create(api, invert, receiver) for _ in range(8)]
        wait_until(lambda: all(map(ends, tasks)), what="all end")
        assert {Task.objects.get(pk=task_id).state for task_id in tasks} == {"succeeded"}
        assert len(node.requests_to("POST", "/prompt")) == len(tasks)
        wait_until(lambda: not Delivery.objects.filter(state="pending").exists(), what="all delivered")
        assert len(receiver.journal) == len(tasks)
    finally:
        second.kill()
