"""A task on a node: sent once, noticed, stored, logged with its cost, called back once, at the end."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from abilities import runner
from abilities.models import Ability, Invocation, Task
from executors.models import Executor, Lease
from podi.events.models import Delivery, Event
from tests.abilities.conftest import Api, png_base64
from tests.flows.driver import deliver, settle, work_off
from tests.simulators.comfyui import ComfyUISimulator
from tests.simulators.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


def create(api: Api, ability: Ability, **more: object) -> str:
    response = api.post("/api/ability-tasks", {"abilityId": ability.id, "imageBase64": png_base64(), **more})
    assert response.status_code == 200, response.content
    return str(response.json()["id"])


def test_R9_R10_a_task_is_stored_before_it_succeeds_and_calls_back_once_at_its_end(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    node.worker.holds_jobs = True
    with Receiver() as receiver:
        task_id = create(api, invert, callbackUrl=receiver.url(), metadata={"traceId": "trace-7"})
        work_off()
        polling.step()
        assert Task.objects.get(pk=task_id).state == "running"
        assert not Delivery.objects.exists()
        node.worker.holds_jobs = False
        task = settle(task_id, polling=polling)
        assert task.state == "succeeded"
        assert deliver() == 1
        assert deliver() == 0
        (call,) = receiver.journal
    body = json.loads(call.body)
    assert body["status"] == "success"
    assert body["result"]["images"][0]["width"] == 8
    assert len(node.requests_to("POST", "/prompt")) == 1
    invocation = Invocation.objects.get()
    assert (invocation.status, invocation.cost_amount) == ("success", Decimal("0.3000"))
    assert invocation.trace_id == "trace-7"
    assert not Lease.objects.exists()
    seen = api.get(f"/api/ability-tasks/{task_id}").json()
    assert seen["status"] == "succeeded"
    assert seen["resultPayload"]["images"][0]["ossUrl"]
    statuses = [event.payload["status"] for event in Event.objects.filter(subject_id=task_id).order_by("id")]
    assert statuses[0] == "queued"
    assert statuses[1] == "running"
    assert statuses[-1] == "succeeded"


def test_R9_an_error_on_the_node_fails_the_task_with_its_first_cause(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    invert.workflow.definition["graph"]["2"] = {"class_type": "RigFail", "inputs": {"image": ["1", 0]}}  # type: ignore[union-attr]
    invert.workflow.save()  # type: ignore[union-attr]
    task = settle(create(api, invert), polling=polling)
    assert task.state == "failed"
    assert task.error_code
    seen = api.get(f"/api/ability-tasks/{task.id}").json()
    assert seen["resultPayload"]["error"]["code"] == task.error_code
    assert seen["errorMessage"]
    assert Invocation.objects.get().status == "failed"
    assert Invocation.objects.get().cost_amount is None
    assert not Lease.objects.exists()


def test_R1_a_lost_answer_to_the_submit_is_looked_up_and_never_sent_again(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    node.add_fault("POST /prompt", "cut_after")
    task = settle(create(api, invert), polling=polling)
    assert task.state == "succeeded"
    assert len(node.requests_to("POST", "/prompt")) == 1


def test_R4_a_run_forgotten_by_a_restarted_node_is_sent_again_exactly_once(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    node.worker.holds_jobs = True
    task_id = create(api, invert)
    work_off()
    polling.step()
    node.restart(forget=True)
    node.worker.holds_jobs = False
    task = settle(task_id, polling=polling)
    assert task.state == "succeeded"
    assert task.attempt == 2
    assert len(node.requests_to("POST", "/prompt")) == 2
    assert list(Invocation.objects.order_by("attempt").values_list("status", flat=True)) == ["interrupted", "success"]


def test_R16_a_dead_node_of_two_fails_no_task(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    Executor.objects.create(
        id="node_0_dead", name="Dead", type="comfyui", base_url="http://127.0.0.1:9", status="active", max_concurrency=4
    )
    tasks = [create(api, invert) for _ in range(6)]
    assert {settle(task_id, polling=polling).state for task_id in tasks} == {"succeeded"}
    assert len(node.requests_to("POST", "/prompt")) == 6


def test_cancel_while_waiting_on_the_node_reaches_the_node(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    node.worker.holds_jobs = True
    task_id = create(api, invert)
    work_off()
    polling.step()
    assert api.post(f"/api/ability-tasks/{task_id}/cancel").status_code == 200
    assert settle(task_id, polling=polling).state == "cancelled"
    assert Invocation.objects.get().status == "cancelled"
    assert not Lease.objects.exists()
    again = api.post(f"/api/ability-tasks/{task_id}/retry").json()
    assert again["retryOf"] == task_id
    node.worker.holds_jobs = False
    assert settle(again["id"], polling=polling).state == "succeeded"


def test_cancel_while_queued_sends_nothing(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    task_id = create(api, invert)
    assert api.post(f"/api/ability-tasks/{task_id}/cancel").json()["status"] == "cancelled"
    work_off()
    assert not node.requests_to("POST", "/prompt")


def test_R18_the_eleventh_task_of_a_node_is_refused_with_q1001(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator
) -> None:
    for _ in range(10):
        create(api, invert)
    refused = api.post("/api/ability-tasks", {"abilityId": invert.id, "imageBase64": png_base64()})
    assert refused.status_code == 429
    assert refused.json()["detail"] == "ERR|Q1001|COMFYUI_QUEUE_FULL(limit=10, current=10)"
    assert refused.headers["Retry-After"]
    assert Task.objects.count() == 10


def test_R11_both_forms_of_a_task_id_resolve(api: Api, invert: Ability, executor: Executor) -> None:
    task_id = create(api, invert)
    long_form = api.get(f"/api/ability-tasks/{task_id}").json()["taskId"]
    assert long_form == f"t1.comfyui.node_a.{task_id}"
    assert api.get(f"/api/ability-tasks/{long_form}").json()["id"] == task_id


def test_another_users_task_is_as_absent_as_none(
    api: Api, staff_api: Api, invert: Ability, executor: Executor, django_user_model: object
) -> None:
    from podi.base.models import User

    task_id = create(api, invert)
    stranger = Api(User.objects.create_user(username="stranger", email="s@shop.example", password="invented-pass-9"))
    for path in ("", "/events"):
        assert stranger.get(f"/api/ability-tasks/{task_id}{path}").json()["detail"] == "TASK_NOT_FOUND"
    assert stranger.post(f"/api/ability-tasks/{task_id}/cancel").status_code == 404
    assert stranger.get("/api/ability-tasks").json()["items"] == []
    assert staff_api.get(f"/api/ability-tasks/{task_id}").status_code == 200
    assert Task.objects.get(pk=task_id).state == "queued"


def test_R5_a_node_that_tells_by_itself_is_asked_at_once_and_its_progress_is_seen(
    api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator, polling: runner.Polling
) -> None:
    invert.workflow.definition["graph"]["2"] = {  # type: ignore[union-attr]
        "class_type": "RigSleep",
        "inputs": {"image": ["1", 0], "seconds": 1.0, "steps": 5, "report": True, "preview": "none", "seed": 0},
    }
    invert.workflow.save()  # type: ignore[union-attr]
    watching = runner.Watching()
    try:
        watching.reconcile()
        task_id = create(api, invert)
        work_off()
        Invocation.objects.update(next_poll_at=timezone.now() + timedelta(hours=1))
        seen: set[float] = set()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not Task.objects.get(pk=task_id).is_terminal:
            watching.flush()
            polling.step()
            work_off()
            seen.add(Task.objects.get(pk=task_id).progress)
            time.sleep(0.02)
    finally:
        watching.close()
    assert Task.objects.get(pk=task_id).state == "succeeded"
    assert any(0 < share < 1 for share in seen)


def test_results_that_were_given_up_can_be_fetched_from_the_node_again(
    api: Api,
    staff_api: Api,
    invert: Ability,
    executor: Executor,
    node: ComfyUISimulator,
) -> None:
    node.worker.holds_jobs = True
    task_id = create(api, invert)
    work_off()
    row = Invocation.objects.get()
    path = f"/api/admin/abilities/logs/{row.pk}/resolve"
    early = staff_api.post(path)
    assert (early.status_code, early.json()["detail"]) == (409, "COMFYUI_STATUS_running")
    Task.objects.filter(pk=task_id).update(deadline_at=timezone.now())
    runner.sweep()  # the ring that would stop the run is lost
    assert Task.objects.get(pk=task_id).error_code == "TASK_TIMEOUT"
    node.worker.holds_jobs = False
    node.wait_until(row.ref)
    found = staff_api.post(path).json()
    assert found["result_assets"][0]["ossUrl"]
    assert staff_api.post(path).json()["result_assets"][0]["assetId"] == found["result_assets"][0]["assetId"]
    assert Task.objects.get(pk=task_id).state == "failed"
