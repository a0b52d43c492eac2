"""What goes over the wire: answers are what the OpenAPI file declares, callbacks verify, and garbage is no 500."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from abilities import runner, services
from abilities.models import Ability, Invocation, Task
from executors.providers.base import Phase, Report
from podi.base.models import User
from podi.events import keys
from tests.abilities.conftest import Api, png, png_base64
from tests.abilities.rig import Rig, accepted, picture, succeeded
from tests.abilities.stage import let_pass, make_ability, make_executor, turn
from tests.architecture.code import ROOT
from tests.flows.driver import deliver
from tests.simulators.receiver import Receiver

OPENAPI: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
INVOKE_KEYS = {
    *("abilityId", "provider", "status", "requestId", "taskId", "logId", "durationMs"),
    *("images", "videos", "texts", "assets", "metadata"),
}
TASK_KEYS = {
    *("id", "abilityId", "abilityName", "provider", "capabilityKey", "status", "logId", "durationMs", "requestPayload"),
    *("resultPayload", "errorMessage", "callbackUrl", "createdAt", "updatedAt", "startedAt", "finishedAt"),
}
CALLBACK_KEYS = {
    *("status", "abilityId", "provider", "requestId", "taskId", "logId", "durationMs", "result", "error", "timestamp"),
}


@pytest.fixture
def polling() -> Iterator[runner.Polling]:
    found = runner.Polling()
    yield found
    found.close()


def declared(method: str, path: str) -> dict[str, Any]:
    """The schema of the 200 answer."""
    content = OPENAPI["paths"][path][method]["responses"]["200"]["content"]
    found: dict[str, Any] = content["application/json"]["schema"]
    return found


def resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema or "allOf" in schema:
        ref = schema["$ref"] if "$ref" in schema else schema["allOf"][0]["$ref"]
        schema = OPENAPI["components"]["schemas"][ref.rsplit("/", 1)[-1]]
    return schema


def assert_declared(answer: Any, schema: Mapping[str, Any], at: str = "answer") -> None:
    """Every key is declared, every required one is there, types fit."""
    schema = resolve(schema)
    if answer is None:
        assert schema.get("nullable") or "null" in schema.get("type", ""), f"{at} is null"
        return
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
    kind = schema.get("type")
    names = [kind] if isinstance(kind, str) else list(kind or [])
    if names:
        assert any(isinstance(answer, kinds[name]) for name in names if name != "null"), f"{at}: {answer!r}"  # type: ignore[arg-type]
    if "enum" in schema:
        assert answer in schema["enum"], f"{at}: {answer!r}"
    if schema.get("format") == "date-time":
        assert datetime.fromisoformat(answer).tzinfo is not None, f"{at}: {answer!r}"
        assert answer.endswith("Z")
    for index, item in enumerate(answer if isinstance(answer, list) else []):
        assert_declared(item, schema["items"], f"{at}[{index}]")
    if isinstance(answer, dict) and "properties" in schema:
        assert set(answer) <= set(schema["properties"]), (at, set(answer) - set(schema["properties"]))
        assert set(schema.get("required", ())) <= set(answer), (at, set(schema["required"]) - set(answer))
        for name, value in answer.items():
            assert_declared(value, schema["properties"][name], f"{at}.{name}")


@pytest.mark.django_db(transaction=True)
def test_R21_answers_of_both_doors_are_what_is_declared(api: Api, upscale: Ability) -> None:
    body = {"imageBase64": png_base64(), "metadata": {"traceId": "t-1"}}
    done = api.post(f"/api/abilities/{upscale.id}/invoke", body).json()
    assert_declared(done, declared("post", "/api/abilities/{ability_id}/invoke"))
    assert set(done) >= INVOKE_KEYS | {"raw"}
    assert (done["metadata"]["traceId"], done["status"]) == ("t-1", "succeeded")
    task = api.post("/api/ability-tasks", {"abilityId": upscale.id, **body}).json()
    assert_declared(task, declared("post", "/api/ability-tasks"))
    assert set(task) >= TASK_KEYS
    assert (task["status"], task["queuePosition"], task["resultPayload"]) == ("queued", 1, None)
    assert task["pollAfterMs"] > 0
    turn()
    one = api.get(task["links"]["self"]).json()
    assert_declared(one, declared("get", "/api/ability-tasks/{task_id}"))
    assert_declared(one["resultPayload"], declared("post", "/api/abilities/{ability_id}/invoke"))
    listed = api.get("/api/ability-tasks?limit=1").json()
    assert_declared(listed, declared("get", "/api/ability-tasks"))
    assert [item["id"] for item in listed["items"]] == [task["id"]]
    assert listed["items"][0]["logId"] == one["logId"]
    history = api.get(task["links"]["events"]).json()
    assert_declared(history, declared("get", "/api/ability-tasks/{task_id}/events"))
    assert [item["payload"]["status"] for item in history["items"]] == ["queued", "running", "succeeded"]
    for path, schema in (
        ("/api/abilities", "/api/abilities"),
        (f"/api/abilities/{upscale.id}", "/api/abilities/{ability_id}"),
    ):
        assert_declared(api.get(path).json(), declared("get", schema))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rigs")
def test_R24_a_wait_that_ends_hands_over_a_task_with_links_and_polling_advice(api: Api, user: User) -> None:
    make_executor()
    ability = make_ability()
    Rig.script[:] = [accepted()]
    response = api.post(f"/api/abilities/{ability.id}/invoke?wait=0", {"inputs": {"prompt": "x"}})
    answer = response.json()
    assert_declared(answer, declared("post", "/api/abilities/{ability_id}/invoke"))
    assert (response.status_code, answer["status"], answer["queuePosition"]) == (200, "queued", 1)
    assert response.headers["Retry-After"]
    assert response.headers["Location"] == answer["links"]["self"]
    turn()
    running = api.get(response.headers["Location"])
    assert (running.json()["status"], running.headers["Retry-After"]) == ("running", "1")
    for wrong in ("-1", "nan", "inf", "soon", "1e9"):
        refused = api.get(f"{response.headers['Location']}?wait={wrong}")
        assert (refused.status_code, list(refused.json()["fields"])) == (422, ["wait"]), wrong


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rigs")
@pytest.mark.parametrize("is_good", [True, False])
def test_R10_the_callback_has_the_contracts_keys_and_a_signature_that_verifies(
    api: Api, user: User, polling: runner.Polling, is_good: bool
) -> None:
    make_executor()
    ability = make_ability()
    Rig.script[:] = [accepted()]
    with Receiver() as receiver:
        body = {"abilityId": ability.id, "callbackUrl": receiver.url(), "callbackHeaders": {"X-Shop": "7"}}
        task = api.post("/api/ability-tasks", body).json()
        turn()
        assert not receiver.journal
        failed = Report(phase=Phase.FAILED, ref="ref-1", code="COMFYUI_ERROR", message="out of memory")
        Rig.reports["ref-1"] = succeeded(picture("cup", png())) if is_good else failed
        let_pass()
        turn(polling)
        assert deliver() == 1
        (call,) = receiver.journal
    sent = json.loads(call.body)
    assert set(sent) == CALLBACK_KEYS
    assert call.headers["x-shop"] == "7"
    assert (sent["status"], sent["taskId"]) == ("success" if is_good else "failed", f"t1.rig.rig_a.{task['id']}")
    if is_good:
        assert_declared(sent["result"], declared("post", "/api/abilities/{ability_id}/invoke"))
        assert sent["error"] is None
    else:
        assert sent["result"] is None
        assert sent["error"]["detail"] == "COMFYUI_ERROR"
    assert Webhook(keys.current_secret(user.pk).secret).verify(call.body, dict(call.headers)) == sent


# Garbage

TEXT = st.text(max_size=12) | st.sampled_from(["\x00", "../..", "' OR 1=1", "t1.x.y.z"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    *("inputs", "imageUrl", "imageBase64", "images", "metadata", "callbackUrl", "callbackHeaders", "version"),
    *("deadlineSeconds", "priority", "wait", "dryRun", "executorId", "abilityId"),
)
READS = [
    (path, [p["name"] for p in item["get"].get("parameters", ()) if p["in"] == "query"])
    for path, item in OPENAPI["paths"].items()
    if "get" in item and path.startswith(("/api/abilities", "/api/ability-tasks", "/api/admin/abilities"))
]


def sent(api: Api, path: str, body: Any) -> Any:
    client = Client(raise_request_exception=False, headers={"authorization": f"Bearer {api.text}"})
    return client.post(path, json.dumps(body), content_type="application/json")


def assert_civil(response: Any) -> None:
    assert response.status_code < 500, response.content[:300]
    if response.status_code >= 400:
        answer = response.json()
        assert set(answer) >= {"detail", "message", "retryable", "fields", "requestId"}


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4) | JSON, door=st.booleans())
def test_R23_whatever_is_sent_to_a_creating_door_is_never_a_500(
    api: Api, upscale: Ability, body: Any, door: bool
) -> None:
    if isinstance(body, dict):
        body.setdefault("abilityId", upscale.id)
        body["wait"] = 0
    path = "/api/ability-tasks" if door else f"/api/abilities/{upscale.id}/invoke"
    before = (Task.objects.count(), Invocation.objects.count())
    response = sent(api, path, body)
    assert_civil(response)
    if response.status_code >= 400:
        assert (Task.objects.count(), Invocation.objects.count()) == before


@pytest.mark.django_db
def test_R23_bodies_that_are_no_json_or_bottomless_are_refused(api: Api, upscale: Ability) -> None:
    client = Client(raise_request_exception=False, headers={"authorization": f"Bearer {api.text}"})
    for raw in ("{", "", "[1,", "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe", "[" * 100_000, '{"a":NaN}'):
        response = client.post("/api/ability-tasks", raw, content_type="application/json")
        assert_civil(response)
        assert response.status_code in {400, 422}, raw[:10]
    assert client.post("/api/ability-tasks", "a=1", content_type="application/x-www-form-urlencoded").status_code == 415
    assert not Task.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "names"), READS)
def test_R23_whatever_is_asked_of_a_reading_door_is_never_a_500(
    staff_api: Api, upscale: Ability, path: str, names: list[str]
) -> None:
    dice = random.Random(path)
    garbage = [
        "",
        "-1",
        "0",
        "99999999999999999999",
        "\x00",
        "é" * 300,
        "null",
        "[]",
        "1e5",
        "' OR '1'='1",
        "2026-01-01",
    ]
    client = Client(raise_request_exception=False, headers={"authorization": f"Bearer {staff_api.text}"})
    known = ["wait", "limit", "offset", "status", "start", "end", *names]
    for _ in range(25):
        place = path
        while "{" in place:
            head, _, rest = place.partition("{")
            place = (
                head
                + dice.choice(["podi_upscale_resize", "0", "nobody", "t1.a.b.c", "%00", "%ED%A0%80"])
                + rest.partition("}")[2]
            )
        query = {name: dice.choice(garbage) for name in dice.sample(known, k=min(3, len(known))) if name != "wait"}
        response = client.get(place, query)
        assert_civil(response) if not response.streaming else b"".join(response)
    assert services.find_ability(upscale.id)
