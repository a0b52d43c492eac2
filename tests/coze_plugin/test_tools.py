"""Tools as Coze calls them: every state keeps one shape, every id can be polled, nothing is guessed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from abilities import services
from abilities.models import Ability, Task
from coze_plugin import answers
from executors.models import Executor, Lease
from podi.base.models import User
from tests.abilities.conftest import png_base64
from tests.coze_plugin.conftest import make_ability
from tests.coze_plugin.coze import Coze

pytestmark = pytest.mark.django_db(transaction=True)


def has_the_shape(answer: dict[str, Any]) -> None:
    assert tuple(answer) == answers.KEYS
    for key, value in answer.items():
        empty = answers._EMPTY[key]
        assert type(value) is type(empty), (key, value)


def until_done(coze: Coze, task_id: str) -> dict[str, Any]:
    for _ in range(200):
        answer = coze.task(task_id).json()
        if answer["taskStatus"] != "running":
            return answer
        time.sleep(0.05)
    raise AssertionError(answer)


def test_a_sync_tool_waits_for_its_result_and_its_id_can_be_polled_R11(
    coze: Coze, upscale: Ability, worker: None
) -> None:
    response = coze.tool("podi", "upscale_resize", {"url": png_base64(), "max_long_edge": "64", "output_format": ""})
    answer = response.json()
    assert (response.status_code, answer["taskStatus"]) == (200, "succeeded"), answer
    has_the_shape(answer)
    assert answer["imageUrl"] == answer["imageUrls"][0]
    assert answer["logId"] > 0
    assert answer["taskId"].startswith("t1.podi.auto.")
    task = Task.objects.get()
    assert (task.source, task.owner_id, task.trace_id) == ("coze", "service", coze.headers["x-tt-logid"])
    polled = coze.task(answer["taskId"]).json()
    has_the_shape(polled)
    assert (polled["taskStatus"], polled["taskId"]) == ("succeeded", answer["taskId"])
    plain = coze.task(task.id).json()
    assert (plain["taskStatus"], plain["taskId"]) == ("succeeded", task.id)


def test_a_sync_tool_hands_over_a_running_task_when_its_time_is_up_R11(
    coze: Coze, upscale: Ability, settings: Any
) -> None:
    settings.COZE_WAIT_S = 0.1
    answer = coze.tool("podi", "upscale_resize", {"url": png_base64()}).json()
    has_the_shape(answer)
    assert (answer["taskStatus"], answer["text"], answer["imageUrls"]) == ("running", "queued", [])
    assert answer["pollAfterSeconds"] > 0
    polled = coze.task(answer["taskId"]).json()
    assert (polled["taskStatus"], polled["taskId"]) == ("running", answer["taskId"])


def test_a_comfyui_tool_answers_at_once_and_its_pictures_come_by_polling(
    coze: Coze, invert: Ability, executor: Executor, worker: None
) -> None:
    answer = coze.tool("comfyui", "invert", {"url": png_base64(), "output": "callback"}).json()
    has_the_shape(answer)
    assert (answer["text"], answer["taskStatus"], answer["imageUrls"]) == ("submitted", "running", [])
    assert (answer["executorId"], answer["executorName"]) == ("node_a", "Node A")
    assert answer["ignoredInputs"] == ["output"]
    assert answer["expectedImageCount"] == 1
    assert answer["executorBaseUrl"] == ""
    done = until_done(coze, answer["taskId"])
    has_the_shape(done)
    assert done["taskStatus"] == "succeeded"
    assert len(done["imageUrls"]) == 1
    assert done["executorName"] == "Node A"


def test_a_failed_task_is_200_with_its_reason(
    coze: Coze, invert: Ability, executor: Executor, node: Any, worker: None
) -> None:
    node.stop()
    Executor.objects.update(base_url="http://127.0.0.1:9")
    services.update_ability(None, invert, metadata={**invert.metadata, "deadline_s": 5})
    answer = coze.tool("comfyui", "invert", {"url": png_base64()}).json()
    Task.objects.update(max_attempts=1)
    done = until_done(coze, answer["taskId"])
    has_the_shape(done)
    assert done["taskStatus"] == "failed"
    assert done["text"] == "failed"
    assert done["errorCode"]
    assert done["errorMessage"] in done["debugResponse"]


def test_R18_a_full_queue_is_200_and_its_text_can_be_polled(coze: Coze, invert: Ability, executor: Executor) -> None:
    Executor.objects.update(queue_limit=1)
    first = coze.tool("comfyui", "invert", {"url": png_base64()}).json()
    assert first["taskStatus"] == "running"
    response = coze.tool("comfyui", "invert", {"url": png_base64()})
    answer = response.json()
    assert response.status_code == 200
    has_the_shape(answer)
    assert answer["taskId"] == "ERR|Q1001|COMFYUI_QUEUE_FULL(limit=1, current=1)"
    assert (answer["text"], answer["texts"]) == ("queue_full", ["COMFYUI_QUEUE_FULL(limit=1, current=1)"])
    assert (answer["taskStatus"], answer["retryable"]) == ("failed", True)
    assert answer["debugResponse"] == "COMFYUI_QUEUE_FULL(limit=1, current=1)"
    assert (Task.objects.count(), Lease.objects.count()) == (1, 1)
    polled = coze.task(answer["taskId"]).json()
    has_the_shape(polled)
    assert (polled["taskStatus"], polled["text"], polled["taskId"]) == ("failed", "queue_full", answer["taskId"])


@pytest.mark.parametrize(
    ("body", "code", "names"),
    [
        ({}, "INVALID_INPUT", "image_url"),
        ({"url": ""}, "INVALID_INPUT", "image_url"),
        ({"url": "a red cup, studio light"}, "IMAGE_URL_INVALID", "image_url"),
        ({"url": "ftp://shop.example/x.png"}, "URL_FORBIDDEN", "image_url"),
        ({"url": 7}, "INVALID_INPUT", "url"),
        ({"url": "$P", "max_long_edge": "64 centimetres"}, "INVALID_INPUT", "max_long_edge"),
        ({"url": "$P", "output_format": "格式 PNG"}, "INVALID_INPUT", "output_format"),
        ({"url": "$P", "executorId": "nope"}, "EXECUTOR_NOT_FOUND", ""),
        ({"urls": ["$P", "https://shop.example/2.png"]}, "INVALID_INPUT", "urls"),
    ],
)
def test_R23_a_wrong_call_is_200_failed_names_what_is_wrong_and_starts_nothing(
    coze: Coze, upscale: Ability, settings: Any, body: dict[str, Any], code: str, names: str
) -> None:
    settings.COZE_WAIT_S = 0
    picture = png_base64()
    body = {
        k: picture if v == "$P" else [picture if i == "$P" else i for i in v] if isinstance(v, list) else v
        for k, v in body.items()
    }
    response = coze.tool("podi", "upscale_resize", body)
    answer = response.json()
    assert response.status_code == 200
    has_the_shape(answer)
    assert (answer["taskStatus"], answer["errorCode"]) == ("failed", code), answer
    assert names in answer["errorMessage"]
    assert answer["taskId"].startswith(f"ERR|{code}|")
    assert coze.task(answer["taskId"]).json()["taskStatus"] == "failed"
    assert not Task.objects.exists()


def test_R13_a_prompt_is_never_a_picture(coze: Coze, settings: Any) -> None:
    settings.COZE_WAIT_S = 0
    make_ability(
        capability_key="draw",
        input_schema={
            "fields": [
                {"name": "prompt", "type": "textarea", "label": "提示词", "required": True},
                {"name": "image_url", "type": "image", "label": "参考图"},
            ]
        },
    )
    prompt = "a red cup, studio light, https://shop.example/cup.png"
    answer = coze.tool("podi", "draw", {"prompt": prompt}).json() | {}
    task = Task.objects.get()
    assert task.inputs["values"]["prompt"] == prompt
    assert task.inputs["files"] == []
    assert answer["ignoredInputs"] == []


def test_an_inactive_ability_and_a_missing_executor_are_answers_an_unknown_tool_is_404(
    coze: Coze, upscale: Ability, invert: Ability
) -> None:
    answer = coze.tool("comfyui", "invert", {"url": png_base64()}).json()
    has_the_shape(answer)
    assert answer["errorCode"] == "ABILITY_EXECUTOR_NOT_CONFIGURED"
    Ability.objects.filter(pk=upscale.pk).update(status="inactive")
    answer = coze.tool("podi", "upscale_resize", {"url": png_base64()}).json()
    assert (answer["taskStatus"], answer["errorCode"]) == ("failed", "ABILITY_INACTIVE")
    response = coze.tool("podi", "nope", {})
    assert (response.status_code, response.json()["detail"]) == (404, "ABILITY_NOT_FOUND")
    assert not Task.objects.exists()


def test_a_named_executor_is_used_and_a_wrong_one_refused(coze: Coze, invert: Ability, executor: Executor) -> None:
    answer = coze.tool("comfyui", "invert", {"url": png_base64(), "executorId": "nope"}).json()
    assert (answer["taskStatus"], answer["errorCode"]) == ("failed", "EXECUTOR_NOT_FOUND")
    Executor.objects.create(id="account", name="Account", type="podi", status="active")
    answer = coze.tool("comfyui", "invert", {"url": png_base64(), "executorId": "account"}).json()
    assert answer["errorCode"] == "EXECUTOR_TYPE_NOT_COMFYUI"
    assert not Task.objects.exists()
    answer = coze.tool("comfyui", "invert", {"url": png_base64(), "executorId": "node_a"}).json()
    assert (answer["taskStatus"], answer["executorId"]) == ("running", "node_a")


def test_tasks_get_wants_an_id_that_exists_and_shows_nobody_elses_task(
    coze: Coze, upscale: Ability, user: User
) -> None:
    assert (coze.post("/tasks/get", {}).status_code, coze.post("/tasks/get", {}).json()["detail"]) == (
        400,
        "TASK_ID_REQUIRED",
    )
    for unknown in ("0" * 32, "t1.podi.auto." + "0" * 32, "something"):
        response = coze.task(unknown)
        assert (response.status_code, response.json()["detail"]) == (404, "TASK_NOT_FOUND")
    prepared = services.prepare(upscale.pk, services.Call(inputs={"image_url": png_base64()}))
    foreign = services.create_task(user, prepared, source="ability-api").task
    assert coze.task(foreign.id).status_code == 404


def test_a_body_that_is_no_json_object_is_refused(coze: Coze, upscale: Ability) -> None:
    for body in ([1], "x"):
        response = coze.tool("podi", "upscale_resize", body)
        assert (response.status_code, response.json()["detail"]) == (400, "MALFORMED_JSON")
    assert coze.get("/tools/podi/upscale_resize").status_code == 405
    assert not Task.objects.exists()


def test_the_queue_summary_has_the_seeds_keys_and_says_what_it_could_not_ask(coze: Coze, executor: Executor) -> None:
    Executor.objects.create(id="dead", name="Dead", type="comfyui", base_url="http://127.0.0.1:9", status="active")
    body = coze.post("/comfyui/queue-summary").json()
    assert (body["totalRunning"], body["totalPending"], body["totalCount"]) == (0, 0, 0)
    dead, alive = body["servers"]
    assert (alive["executorId"], alive["running"], alive["pending"], alive["supported"]) == ("node_a", 0, 0, True)
    assert (dead["supported"], dead["message"]) == (False, "COMFYUI_QUEUE_STATUS_ERROR")
    assert alive["baseUrl"] == ""
    only = coze.post("/comfyui/queue-summary", {"executorIds": "node_a, gone"}).json()
    assert [(s["executorId"], s["message"]) for s in only["servers"]] == [
        ("node_a", ""),
        ("gone", "EXECUTOR_NOT_FOUND"),
    ]
