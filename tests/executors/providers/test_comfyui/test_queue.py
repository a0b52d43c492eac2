"""Places, restarts, lost entries, cancelling, forgetting."""

from __future__ import annotations

import json
import time
import uuid

from executors.providers.base import (
    Phase,
)
from executors.providers.comfyui import ComfyUIProvider
from tests.executors.providers.test_comfyui.orders import (
    coloured,
    order,
)
from tests.simulators.comfyui import ComfyUISimulator


def test_places_are_counted_in_the_order_of_running(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.worker.holds_jobs = True
    refs = [provider.submit(order(coloured(number))).ref for number in range(8)]
    node.wait_for_start(refs[0])
    for ref in refs[:3]:
        node.worker.released.add(ref)
        node.wait_until(ref)
    node.wait_for_start(refs[3])
    reports = provider.poll(refs)
    assert [reports[ref].queue_position for ref in refs[3:]] == [0, 1, 2, 3, 4]
    assert reports[refs[3]].phase is Phase.RUNNING
    assert reports[refs[4]].phase is Phase.ACCEPTED


def test_R4_a_restart_makes_refs_unknown_but_only_those(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.worker.holds_jobs = True
    lost = provider.submit(order(coloured())).ref
    node.restart()
    kept = provider.submit(order(coloured(1)))
    assert kept.metadata["number"] == 0
    node.wait_until(kept.ref)
    assert set(provider.poll([lost, kept.ref])) == {kept.ref}
    looks = [entry for entry in node.journal if entry["path"] == f"/history/{lost}"]
    assert len(looks) == 2


def test_R4_one_unreadable_history_entry_holds_up_nobody(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    broken, good = (provider.submit(order(coloured(number))).ref for number in range(2))
    node.wait_until(good)
    node.add_fault(
        f"GET /history/{broken}",
        "status",
        times=None,
        status=500,
        body="500 Internal Server Error\n\nServer got itself in trouble",
        content_type="text/plain",
    )
    reports = provider.poll([broken, good])
    assert reports[good].phase is Phase.SUCCEEDED
    assert not reports[broken].phase.is_final
    assert reports[broken].code == "COMFYUI_HISTORY_HTTP_500"


def test_a_result_that_comes_late_into_history_is_never_called_lost(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    node.worker.history_lag_s = 0.3
    ref = provider.submit(order(coloured())).ref
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        report = provider.poll([ref])[ref]
        if report.phase.is_final:
            break
    assert report.phase is Phase.SUCCEEDED


def test_cancel_takes_a_waiting_prompt_out_and_stops_a_running_one(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    node.worker.holds_jobs = True
    running, waiting, other = (provider.submit(order(coloured(number))).ref for number in range(3))
    node.wait_for_start(running)
    assert provider.cancel(waiting).phase is Phase.CANCELLED
    assert node.requests_to("POST", "/interrupt") == []
    assert provider.cancel(running).phase is Phase.CANCELLED
    assert json.loads(node.requests_to("POST", "/interrupt")[0]["body"]) == {"prompt_id": running}
    node.worker.holds_jobs = False
    node.wait_until(other)
    assert node.worker.executed_ids == [running, other]


def test_cancelling_the_unknown_stops_nothing(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.worker.holds_jobs = True
    other = provider.submit(order(coloured())).ref
    node.wait_for_start(other)
    assert provider.cancel(str(uuid.uuid4())).phase is Phase.CANCELLED
    assert node.requests_to("POST", "/interrupt") == []
    assert provider.poll([other])[other].phase is Phase.RUNNING


def test_a_step_that_cannot_be_cut_short_is_reported_as_running(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    graph = coloured(
        **{
            "2": {
                "class_type": "RigSleep",
                "inputs": {
                    "image": ["1", 0],
                    "seconds": 1.5,
                    "steps": 1,
                    "report": False,
                    "preview": "none",
                    "seed": 5,
                },
            }
        }
    )
    graph["9"]["inputs"]["images"] = ["2", 0]
    ref = provider.submit(order(graph)).ref
    node.wait_for_start(ref)
    time.sleep(0.1)
    assert provider.cancel(ref).phase is Phase.RUNNING
    node.wait_until(ref)
    assert provider.poll([ref])[ref].phase is Phase.CANCELLED


def test_fetched_work_is_deleted_from_history_and_nothing_else(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    refs = [provider.submit(order(coloured(number))).ref for number in range(2)]
    for ref in refs:
        node.wait_until(ref)
    provider.forget(refs[0])
    assert list(node.worker.history) == [refs[1]]
    provider.forget(refs[0])
