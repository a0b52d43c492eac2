"""The staff API of the contract, sections 1.12 and 1.13: shapes, codes, no secret in any answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from executors.models import ApiKey, Executor, Lease, Workflow, WorkflowBinding, WorkflowRevision
from podi.base.models import User
from podi.base.services import issue_token
from podi.events.models import Event
from tests.executors.factories import make_executor, make_key

SECRET = "invented-secret-value-7788"
GRAPH = {"1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}, "2": {"class_type": "SaveImage", "inputs": {}}}


class Staff:
    """The test client as an operator, JSON both ways."""

    def __init__(self, user: User, scopes: list[str]) -> None:
        _token, text = issue_token(User(username="issuer", is_staff=True), user, name="tests", scopes=scopes)
        self.client = Client(headers={"authorization": f"Bearer {text}"})

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/admin/{path}")

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(f"/api/admin/{path}", body or {}, content_type="application/json", headers=headers)

    def put(self, path: str, body: Any) -> Any:
        return self.client.put(f"/api/admin/{path}", body, content_type="application/json")

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/admin/{path}")


@pytest.fixture
def staff(db: None) -> Staff:
    user = User.objects.create(username="boss", is_staff=True)
    return Staff(user, ["admin"])


def test_executor_lifecycle_has_the_contracts_shape(staff: Staff) -> None:
    made = staff.post(
        "executors",
        {"id": "node_a", "name": "A", "type": "testnode", "base_url": "http://a.invalid:8079/", "status": "active"},
    )
    assert made.status_code == 200, made.content
    body = made.json()
    assert (body["id"], body["weight"], body["max_concurrency"], body["config"]) == ("node_a", 1, 1, {})
    assert body["base_url"] == "http://a.invalid:8079"
    assert (body["health_status"], body["last_heartbeat_at"], body["api_key_ids"]) == (None, None, [])
    assert body["created_at"].endswith("Z")
    listed = staff.get("executors").json()
    assert [row["id"] for row in listed] == ["node_a"]
    changed = staff.put("executors/node_a", {"weight": 9, "status": "inactive", "max_concurrency": 3}).json()
    assert (changed["weight"], changed["status"], changed["max_concurrency"], changed["name"]) == (
        9,
        "inactive",
        3,
        "A",
    )
    assert staff.get("executors/node_a").json() == changed
    gone = staff.delete("executors/node_a")
    assert (gone.status_code, gone.json()) == (200, {"status": "deleted"})
    missing = staff.get("executors/node_a")
    assert (missing.status_code, missing.json()["detail"]) == (404, "EXECUTOR_NOT_FOUND")
    topics = list(Event.objects.order_by("id").values_list("topic", flat=True))
    assert topics == ["executor.created", "executor.changed", "executor.deleted"]


def test_R19_edits_stay_whatever_is_read_afterwards(staff: Staff) -> None:
    make_executor("node_a", weight=1)
    staff.put("executors/node_a", {"status": "inactive", "weight": 9, "max_concurrency": 7})
    for path in ("executors", "workflows", "workflow-bindings", "api-keys"):
        assert staff.get(path).status_code == 200
    row = Executor.objects.get(pk="node_a")
    assert (row.status, row.weight, row.max_concurrency) == ("inactive", 9, 7)


def test_R19_the_second_write_to_json_is_stored_as_the_first_was(staff: Staff) -> None:
    staff.post("executors", {"id": "n", "name": "N", "type": "testnode"})
    staff.post("workflows", {"id": "w", "action": "a", "name": "W"})
    staff.post("workflow-bindings", {"id": "b", "action": "a", "workflow_id": "w", "executor_id": "n"})
    staff.post("api-keys", {"id": "k", "provider": "testaccount", "name": "K", "key": SECRET})
    for number in (1, 2):
        metadata = {"metadata": {"number": number, "list": [number]}}
        assert staff.put("executors/n", {"config": {"tags": ["gpu"], "number": number}}).json()["config"] == {
            "tags": ["gpu"],
            "number": number,
        }
        assert staff.put("workflows/w", metadata).json()["metadata"] == metadata["metadata"]
        assert staff.put("workflow-bindings/b", metadata).json()["metadata"] == metadata["metadata"]
        assert staff.put("api-keys/k", metadata).json()["metadata"] == metadata["metadata"]
    assert Executor.objects.get(pk="n").config["number"] == 2
    assert Workflow.objects.get(pk="w").metadata == {"number": 2, "list": [2]}
    assert WorkflowBinding.objects.get(pk="b").metadata == {"number": 2, "list": [2]}
    assert ApiKey.objects.get(pk="k").metadata == {"number": 2, "list": [2]}


def test_no_secret_leaves_by_any_answer_event_or_table(staff: Staff) -> None:
    answers = [
        staff.post(
            "executors", {"id": "n", "name": "N", "type": "testnode", "config": {"password": SECRET, "apiKey": SECRET}}
        ),
        staff.put("executors/n", {"config": {"accessToken": SECRET, "tags": "a"}}),
        staff.get("executors"),
        staff.get("executors/n"),
        staff.post(
            "api-keys",
            {"id": "k", "provider": "testaccount", "name": "K", "key": SECRET, "metadata": {"secretKey": SECRET}},
        ),
        staff.put("api-keys/k", {"name": "K2"}),
        staff.get("api-keys"),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.content
        assert SECRET not in answer.content.decode()
    assert answers[3].json()["config"] == {
        "tags": "a",
        "password": "****7788",
        "api_key": "****7788",
        "access_token": "****7788",
    }
    row = answers[6].json()[0]
    assert (row["key"], row["last_four"], row["metadata"]) == ("****7788", "7788", {"secret_key": "****7788"})
    assert SECRET not in json.dumps(list(Event.objects.values_list("payload", flat=True)))
    with connection.cursor() as cursor:
        for table in ("executors", "api_keys"):
            cursor.execute(f"SELECT * FROM {table}")
            assert SECRET not in repr(cursor.fetchall())
    assert ApiKey.objects.get(pk="k").key == SECRET
    assert Executor.objects.get(pk="n").secrets["password"] == SECRET


def test_a_mask_sent_back_keeps_the_secret_and_null_removes_it(staff: Staff) -> None:
    staff.post("executors", {"id": "n", "name": "N", "type": "testnode", "config": {"password": SECRET, "depth": 1}})
    staff.post("api-keys", {"id": "k", "provider": "testaccount", "name": "K", "key": SECRET})
    shown = staff.get("executors/n").json()
    assert staff.put("executors/n", shown).status_code == 200
    staff.put("api-keys/k", {"key": "****7788"})
    assert Executor.objects.get(pk="n").secrets == {"password": SECRET}
    assert ApiKey.objects.get(pk="k").key == SECRET
    staff.put("executors/n", {"config": {"password": None}})
    assert Executor.objects.get(pk="n").secrets == {}


@pytest.mark.parametrize(
    ("body", "status", "detail", "field"),
    [
        ({"type": "testnode"}, 422, "INVALID_INPUT", "name"),
        ({"name": "x", "type": "mock"}, 400, "ABILITY_PROVIDER_UNSUPPORTED:mock", ""),
        ({"name": "x", "type": "testnode", "status": "active"}, 422, "INVALID_INPUT", "base_url"),
        ({"name": "x", "type": "testnode", "status": "asleep"}, 422, "INVALID_INPUT", "status"),
        ({"name": "x", "type": "testnode", "base_url": "file:///etc/passwd"}, 422, "INVALID_INPUT", "base_url"),
        ({"name": "x", "type": "testnode", "base_url": "http://u:p@a.invalid"}, 422, "INVALID_INPUT", "base_url"),
        ({"name": "x", "type": "testnode", "config": {"depth": "deep"}}, 422, "INVALID_INPUT", "config.depth"),
        ({"name": "x", "type": "testnode", "config": {"mode": "slow"}}, 422, "INVALID_INPUT", "config.mode"),
        ({"name": "x", "type": "testnode", "config": []}, 422, "INVALID_INPUT", "config"),
        ({"name": "x", "type": "testnode", "max_concurrency": 0}, 422, "INVALID_INPUT", "max_concurrency"),
        ({"name": "x", "type": "testnode", "maxConcurrency": 2}, 422, "INVALID_INPUT", "maxConcurrency"),
        ({"name": "x", "type": "testnode", "api_key_ids": ["none"]}, 400, "API_KEY_NOT_FOUND", ""),
        ({"name": "x", "type": "testnode", "api_key_ids": ["k1"]}, 422, "INVALID_INPUT", "api_key_ids"),
        ({"id": "a b", "name": "x", "type": "testnode"}, 422, "INVALID_INPUT", "id"),
        ({"id": "taken", "name": "x", "type": "testnode"}, 409, "ID_TAKEN", ""),
    ],
)
def test_a_wrong_executor_is_refused_and_nothing_is_stored(
    staff: Staff, body: dict[str, Any], status: int, detail: str, field: str
) -> None:
    make_executor("taken")
    make_key("k1")
    answer = staff.post("executors", body)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail), answer.content
    if field:
        assert field in answer.json()["fields"]
    assert Executor.objects.count() == 1
    assert not Event.objects.exists()


def test_key_links_are_replaced_as_a_whole_and_keep_their_order(staff: Staff) -> None:
    make_executor("acc", type="testaccount")
    for name in ("k1", "k2", "k3"):
        make_key(name)
    assert staff.put("executors/acc", {"api_key_ids": ["k3", "k1"]}).json()["api_key_ids"] == ["k3", "k1"]
    assert staff.put("executors/acc", {"name": "other"}).json()["api_key_ids"] == ["k3", "k1"]
    assert staff.put("executors/acc", {"api_key_ids": ["k2"]}).json()["api_key_ids"] == ["k2"]
    assert staff.put("executors/acc", {"api_key_ids": []}).json()["api_key_ids"] == []


def test_an_executor_with_tasks_on_it_is_not_deleted(staff: Staff) -> None:
    row = make_executor("n")
    Lease.objects.create(executor=row, holder="task", place=1)
    answer = staff.delete("executors/n")
    assert (answer.status_code, answer.json()["detail"]) == (409, "EXECUTOR_IN_USE")
    assert Executor.objects.filter(pk="n").exists()


def test_drain_and_resume(staff: Staff) -> None:
    make_executor("n")
    assert staff.post("executors/n/drain").json()["is_draining"] is True
    assert staff.post("executors/n/drain").status_code == 200
    assert staff.post("executors/n/resume").json()["is_draining"] is False
    assert list(Event.objects.order_by("id").values_list("topic", flat=True)) == [
        "executor.draining",
        "executor.resumed",
    ]


def test_workflow_lifecycle_keeps_every_state_as_a_revision(staff: Staff) -> None:
    made = staff.post(
        "workflows",
        {"id": "w", "action": "seamless", "name": "W", "type": "comfyui", "definition": GRAPH, "status": "active"},
    )
    assert made.status_code == 200, made.content
    body = made.json()
    assert (body["version"], body["revision"], body["metadata"]) == ("v1", 1, None)
    assert body["requirements"] == {"nodes": ["LoadImage", "SaveImage"], "models": {}}
    other = {"2": {"class_type": "PreviewImage", "inputs": {}}}
    changed = staff.put("workflows/w", {"definition": other}).json()
    assert (changed["id"], changed["revision"], changed["definition"]) == ("w", 2, other)
    assert staff.put("workflows/w", {"name": "W"}).json()["revision"] == 2, "no change of content, no revision"
    revisions = staff.get("workflows/w/revisions").json()
    assert [(row["number"], row["definition"], row["created_by"]) for row in revisions] == [
        (2, other, "boss"),
        (1, GRAPH, "boss"),
    ]
    assert staff.delete("workflows/w").json() == {"status": "deleted"}
    assert staff.get("workflows/w").json()["detail"] == "WORKFLOW_NOT_FOUND"
    assert not WorkflowRevision.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"action": "a"}, 422, "INVALID_INPUT"),
        ({"action": "a", "name": "n", "definition": [1]}, 422, "INVALID_INPUT"),
        (
            {"action": "a", "name": "n", "type": "comfyui", "status": "active", "definition": {"x": 1}},
            422,
            "INVALID_INPUT",
        ),
        (
            {
                "action": "a",
                "name": "n",
                "type": "comfyui",
                "status": "active",
                "definition": GRAPH,
                "metadata": {"input_node_map": [{"field": "p", "node_id": "99", "input_key": "text"}]},
            },
            422,
            "INVALID_INPUT",
        ),
        ({"action": "same", "name": "same", "version": "v1"}, 409, "WORKFLOW_VERSION_TAKEN"),
        ({"id": "taken", "action": "a", "name": "n"}, 409, "ID_TAKEN"),
    ],
)
def test_a_wrong_workflow_is_refused(staff: Staff, body: dict[str, Any], status: int, detail: str) -> None:
    Workflow.objects.create(pk="taken", action="same", name="same")
    answer = staff.post("workflows", body)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail), answer.content
    assert Workflow.objects.count() == 1


def test_the_action_of_a_workflow_cannot_be_changed(staff: Staff) -> None:
    Workflow.objects.create(pk="w", action="a", name="n")
    assert staff.put("workflows/w", {"action": "b"}).status_code == 422
    assert staff.put("workflows/w", {"action": "a", "name": "m"}).json()["name"] == "m"


def test_bindings_check_what_they_join(staff: Staff) -> None:
    make_executor("n")
    Workflow.objects.create(pk="w", action="a", name="W")
    for wrong in ({"workflow_id": "none", "executor_id": "n"}, {"workflow_id": "w", "executor_id": "none"}):
        answer = staff.post("workflow-bindings", {"action": "a", **wrong})
        assert (answer.status_code, answer.json()["detail"]) == (400, "INVALID_WORKFLOW_OR_EXECUTOR")
    assert not WorkflowBinding.objects.exists()
    made = staff.post("workflow-bindings", {"id": "b", "action": "a", "workflow_id": "w", "executor_id": "n"}).json()
    assert (made["priority"], made["enabled"], made["metadata"]) == (0, True, None)
    wrong = staff.put("workflow-bindings/b", {"workflow_id": "none"})
    assert (wrong.status_code, wrong.json()["detail"]) == (400, "WORKFLOW_NOT_FOUND")
    wrong = staff.put("workflow-bindings/b", {"executor_id": "none"})
    assert (wrong.status_code, wrong.json()["detail"]) == (400, "EXECUTOR_NOT_FOUND")
    assert staff.put("workflow-bindings/b", {"priority": 5, "enabled": False}).json()["priority"] == 5
    missing = staff.put("workflow-bindings/none", {})
    assert (missing.status_code, missing.json()["detail"]) == (404, "BINDING_NOT_FOUND")
    assert staff.delete("workflow-bindings/b").json() == {"status": "deleted"}


def test_an_api_key_that_is_missing_is_404(staff: Staff) -> None:
    answer = staff.put("api-keys/none", {"name": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "API_KEY_NOT_FOUND")


def test_switching_a_key_on_ends_its_pause(staff: Staff) -> None:
    make_key("k", status="exhausted", cooldown_until="2099-01-01T00:00:00Z", cooldown_reason="quota")
    body = staff.put("api-keys/k", {"status": "active"}).json()
    assert (body["status"], body["cooldown_until"], body["cooldown_reason"]) == ("active", None, "")


def test_the_same_idempotency_key_creates_one_thing(staff: Staff) -> None:
    body = {"name": "N", "type": "testnode"}
    first = staff.post("executors", body, **{"Idempotency-Key": "once"})
    again = staff.post("executors", body, **{"Idempotency-Key": "once"})
    other = staff.post("executors", {**body, "name": "M"}, **{"Idempotency-Key": "once"})
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, other.json()["detail"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert Executor.objects.count() == 1


@pytest.mark.parametrize("path", ["executors", "workflows", "workflow-bindings", "api-keys", "comfyui/queue-summary"])
def test_only_operators_may_look(db: None, path: str) -> None:
    user = User.objects.create(username="lin")
    assert Staff(user, []).get(path).json()["detail"] == "ADMIN_ONLY"
    anonymous = Client().get(f"/api/admin/{path}")
    assert (anonymous.status_code, anonymous.json()["detail"]) == (401, "AUTHORIZATION_REQUIRED")


def test_the_list_costs_the_same_for_one_as_for_many(staff: Staff) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            staff.get("executors")
        return len(queries)

    make_executor("n0")
    count()  # the first use of a token notes when it was used
    one = count()
    for number in range(1, 6):
        make_executor(f"n{number}")
    assert count() == one
