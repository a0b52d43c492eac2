"""Contract 1.13 against a simulated node: models, queue, system, and what routing makes of an inventory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from executors import services as executors
from executors.errors import ExecutorNotMatched
from executors.jobs import ProbeExecutors
from executors.models import Executor
from executors.services import Need
from podi.base.models import User
from tests.executors.factories import make_executor
from tests.executors.test_api import Staff
from tests.simulators.comfyui import ComfyUISimulator


@pytest.fixture(scope="module")
def node() -> Iterator[ComfyUISimulator]:
    with ComfyUISimulator() as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _sound(node: ComfyUISimulator) -> Iterator[None]:
    yield
    node.faults.clear()


@pytest.fixture
def staff(db: None) -> Staff:
    return Staff(User.objects.create(username="boss", is_staff=True), ["admin"])


@pytest.fixture
def executor(db: None, node: ComfyUISimulator) -> Executor:
    return make_executor("node", type="comfyui", base_url=node.url)


def test_models_by_kind_and_nodes_on_request(staff: Staff, executor: Executor, node: ComfyUISimulator) -> None:
    body = staff.get("comfyui/models?executorId=node").json()
    assert (body["executorId"], body["baseUrl"], body["nodeKeys"], body["nodeCount"]) == ("node", node.url, None, None)
    assert {"unet", "clip", "vae", "lora"} <= set(body["models"])
    full = staff.get("comfyui/models?executorId=node&includeNodes=true").json()
    assert "SaveImage" in full["nodeKeys"]
    assert full["nodeCount"] == len(full["nodeKeys"])


def test_queue_status_and_system_stats(staff: Staff, executor: Executor, node: ComfyUISimulator) -> None:
    queue = staff.get("comfyui/queue-status?executorId=node").json()
    assert (queue["runningCount"], queue["pendingCount"], queue["supported"]) == (0, 0, True)
    assert queue["raw"] == {"queue_running": [], "queue_pending": []}
    stats = staff.get("comfyui/system-stats?executorId=node").json()
    assert stats["executorId"] == "node"
    assert stats["system"]
    assert isinstance(stats["devices"], list)


def test_the_summary_names_a_node_that_fails_and_counts_the_others(
    staff: Staff, executor: Executor, node: ComfyUISimulator
) -> None:
    make_executor("dead", type="comfyui", base_url="http://127.0.0.1:9")
    make_executor("bare", type="comfyui", base_url="")
    make_executor("off", type="comfyui", base_url=node.url, status="inactive")
    body = staff.get("comfyui/queue-summary").json()
    assert (body["totalRunning"], body["totalPending"], body["totalCount"]) == (0, 0, 0)
    assert body["timestamp"].endswith("Z")
    servers = {row["executorId"]: row for row in body["servers"]}
    assert set(servers) == {"node", "dead", "bare"}
    assert servers["node"]["supported"] is True
    assert (servers["dead"]["supported"], servers["dead"]["message"]) == (False, "COMFYUI_QUEUE_STATUS_ERROR")
    assert servers["bare"]["message"] == "COMFYUI_BASE_URL_MISSING"
    assert servers["node"]["raw"] is None
    only = staff.get("comfyui/queue-summary?executorIds=node&executorIds=off").json()
    assert [row["executorId"] for row in only["servers"]] == ["node", "off"]


@pytest.mark.parametrize("page", ["models", "queue-status", "system-stats"])
@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("", 422, "INVALID_INPUT"),
        ("?executorId=none", 404, "EXECUTOR_NOT_FOUND"),
        ("?executorId=other", 400, "EXECUTOR_TYPE_NOT_COMFYUI"),
        ("?executorId=bare", 400, "COMFYUI_BASE_URL_MISSING"),
    ],
)
def test_a_node_that_cannot_be_asked(staff: Staff, page: str, query: str, status: int, detail: str) -> None:
    make_executor("other")
    make_executor("bare", type="comfyui", base_url="")
    answer = staff.get(f"comfyui/{page}{query}")
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


@pytest.mark.parametrize(
    ("page", "detail"),
    [
        ("models", "COMFYUI_OBJECT_INFO_ERROR"),
        ("queue-status", "COMFYUI_QUEUE_STATUS_ERROR"),
        ("system-stats", "COMFYUI_SYSTEM_STATS_ERROR"),
    ],
)
def test_a_node_that_does_not_answer_is_502(staff: Staff, page: str, detail: str) -> None:
    make_executor("dead", type="comfyui", base_url="http://127.0.0.1:9")
    answer = staff.get(f"comfyui/{page}?executorId=dead")
    assert (answer.status_code, answer.json()["detail"]) == (502, detail)
    assert answer.json()["retryable"] is True


def test_testing_a_connection_writes_down_what_was_found(staff: Staff, executor: Executor) -> None:
    body = staff.post("executors/node/test").json()
    assert (body["is_up"], body["queue_running"], body["queue_pending"]) == (True, 0, 0)
    row = Executor.objects.get(pk="node")
    assert row.health_status == "healthy"
    assert "SaveImage" in row.inventory["nodes"]
    assert row.inventory_at is not None
    make_executor("dead", type="comfyui", base_url="http://127.0.0.1:9")
    dead = staff.post("executors/dead/test").json()
    assert dead["is_up"] is False
    assert dead["message"]


def graph(class_type: str) -> dict[str, Any]:
    return {
        "1": {"class_type": class_type, "inputs": {}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }


def test_R17_what_a_node_lacks_for_a_workflow_is_known_before_anything_is_sent(
    staff: Staff, executor: Executor, node: ComfyUISimulator
) -> None:
    """R17: requirements come from the graph, the inventory from the node; either change updates the gap."""
    need = Need(provider="comfyui", workflow_id="w")
    staff.post("workflows", {"id": "w", "action": "a", "name": "W", "definition": graph("NoSuchNode")})
    assert executors.route(need).candidates, "nothing is known of the node yet"
    executors.probe("node")
    assert Executor.objects.get(pk="node").gaps == {"w": {"nodes": ["NoSuchNode"]}}
    with pytest.raises(ExecutorNotMatched) as caught:
        executors.route(need)
    assert caught.value.details["missing"] == {"node": {"nodes": ["NoSuchNode"]}}
    staff.put("workflows/w", {"definition": graph("EmptyImage")})
    assert Executor.objects.get(pk="node").gaps == {}
    assert executors.route(need).usable


@pytest.mark.django_db(transaction=True)
def test_the_poller_probes_what_is_due_and_survives_what_stumbles(node: ComfyUISimulator) -> None:
    make_executor("node", type="comfyui", base_url=node.url)
    make_executor("unknown", type="no-such-kind")
    duty = ProbeExecutors()
    duty.run()
    duty.close()
    assert Executor.objects.get(pk="node").health_status == "healthy"
    assert Executor.objects.get(pk="unknown").health_status == "unhealthy"
