"""The admin pages: nothing secret on them, saving goes through the services, lists cost the same for any length."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executors.models import ApiKey, Executor, ExecutorApiKey, Lease, Workflow, WorkflowBinding, WorkflowRevision
from executors.providers.base import Health
from podi.base.models import User
from podi.events.models import Event
from tests.executors.factories import Node, make_executor, make_key

SECRET = "invented-secret-value-7788"


@pytest.fixture
def client(db: None) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(User.objects.create(username="boss", is_staff=True, is_superuser=True))
    return client


def page(client: Client, path: str) -> str:
    answer = client.get(f"/admin/executors/{path}")
    assert answer.status_code == 200, path
    return answer.content.decode()


def send(client: Client, path: str, form: dict[str, Any]) -> Any:
    return client.post(f"/admin/executors/{path}", form)


def executor_form(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Node",
        "type": "testnode",
        "status": "active",
        "base_url": "http://node.invalid",
        "weight": 1,
        "max_concurrency": 2,
        "queue_limit": "",
        "tags": "gpu, big",
        "other_settings": "{}",
        "config.password": "",
        "config.depth": "",
        "config.mode": "",
        **changes,
    }


def test_every_page_opens(client: Client) -> None:
    row = make_executor(
        "n",
        inventory={"nodes": ["A"], "models": {"lora": ["x"]}, "devices": [{"name": "GPU"}], "system": {"os": "posix"}},
        gaps={"w": {"nodes": ["B"]}},
        paused_until=timezone.now() + timezone.timedelta(hours=1),
        failures_in_row=3,
    )
    make_executor("acc", type="testaccount", is_draining=True)
    make_executor("down", health_status="unhealthy", probed_at=timezone.now(), health_message="refused")
    key = make_key("k")
    flow = Workflow.objects.create(pk="w", action="a", name="W", metadata={"input_node_map": [{"field": "p"}]})
    binding = WorkflowBinding.objects.create(action="a", workflow=flow, executor=row)
    Lease.objects.create(executor=row, holder="t", place=1, slot=1)
    revision = WorkflowRevision.objects.create(workflow=flow, number=1, version="v1")
    for path in ("executor", "apikey", "workflow", "workflowbinding", "lease", "workflowrevision"):
        page(client, f"{path}/")
    for path in ("executor", "apikey", "workflow", "workflowbinding"):
        page(client, f"{path}/add/")
    for path, pk in (
        ("executor", "n"),
        ("executor", "acc"),
        ("apikey", key.pk),
        ("workflow", "w"),
        ("workflowbinding", binding.pk),
        ("lease", Lease.objects.get().pk),
        ("workflowrevision", revision.pk),
    ):
        page(client, f"{path}/{pk}/change/")
    text = page(client, "executor/")
    assert "set aside after failures until" in text
    assert "draining" in text
    assert "refused" in text
    assert "1/1 run, 0 wait (limit 10)" in text


def test_an_executor_is_made_then_filled_in_with_its_kinds_own_fields(client: Client) -> None:
    answer = send(
        client,
        "executor/add/",
        {"name": "Node", "type": "testnode", "base_url": "", "weight": 1, "max_concurrency": 2, "queue_limit": ""},
    )
    row = Executor.objects.get()
    assert answer.headers["Location"] == f"/admin/executors/executor/{row.pk}/change/"
    assert row.status == "inactive"
    form = page(client, f"executor/{row.pk}/change/")
    assert all(name in form for name in ("config.password", "config.depth", "config.mode"))
    path = f"executor/{row.pk}/change/"
    assert send(client, path, executor_form(**{"config.password": SECRET, "config.depth": "2", "config.mode": "fine"}))
    row = Executor.objects.get()
    assert row.config == {"tags": ["gpu", "big"], "depth": 2.0, "mode": "fine"}
    assert (row.secrets, row.status, row.base_url) == ({"password": SECRET}, "active", "http://node.invalid")
    assert list(Event.objects.order_by("id").values_list("topic", flat=True)) == [
        "executor.created",
        "executor.changed",
    ]


def test_a_blank_secret_stays_and_a_ticked_one_is_forgotten(client: Client) -> None:
    make_executor("n", secrets={"password": SECRET})
    send(client, "executor/n/change/", executor_form(name="Renamed"))
    row = Executor.objects.get()
    assert (row.name, row.secrets) == ("Renamed", {"password": SECRET})
    send(client, "executor/n/change/", executor_form(forget_secrets=["password"]))
    assert Executor.objects.get().secrets == {}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"base_url": ""}, "An active executor needs this."),
        ({"base_url": "ftp://x"}, "http://"),
        ({"config.depth": "deep"}, "Enter a number"),
        ({"other_settings": "[1]"}, "Give a JSON object."),
        ({"max_concurrency": "0"}, "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said_at_the_form_and_nothing_is_saved(
    client: Client, changes: dict[str, str], where: str
) -> None:
    make_executor("n", name="before")
    answer = send(client, "executor/n/change/", executor_form(**changes))
    assert answer.status_code == 200
    assert where in answer.content.decode()
    assert Executor.objects.get().name == "before"
    assert not Event.objects.exists()


def test_keys_of_an_account_are_linked_and_keep_their_order(client: Client) -> None:
    row = make_executor("acc", type="testaccount")
    for name in ("k1", "k2", "k3"):
        make_key(name)
    ExecutorApiKey.objects.create(executor=row, api_key_id="k3", priority=0)
    form = executor_form(type="testaccount", api_key_ids=["k1", "k3"])
    assert send(client, "executor/acc/change/", form).status_code == 302
    links = ExecutorApiKey.objects.order_by("priority").values_list("api_key_id", flat=True)
    assert list(links) == ["k3", "k1"]


def test_no_secret_is_on_any_page_or_in_any_export(client: Client) -> None:
    make_executor("n", secrets={"password": SECRET, "api_key": SECRET})
    key = make_key("k", key=SECRET, last_four="7788", secrets={"secret_key": SECRET})
    pages = [
        page(client, "executor/"),
        page(client, "executor/n/change/"),
        page(client, "apikey/"),
        page(client, f"apikey/{key.pk}/change/"),
    ]
    for path, pk in (("executor", "n"), ("apikey", key.pk)):
        for action in ("export_csv", "export_json"):
            answer = send(client, f"{path}/", {"action": action, "_selected_action": [pk]})
            assert answer.status_code == 200
            pages.append(answer.content.decode())
    assert all(SECRET not in text for text in pages)
    assert "…7788" in pages[2]


def test_an_api_key_is_made_and_a_blank_field_keeps_it(client: Client) -> None:
    form = {
        "provider": "testaccount",
        "name": "K",
        "key": SECRET,
        "secret_key": "",
        "status": "active",
        "metadata": "{}",
    }
    assert send(client, "apikey/add/", form).status_code == 302
    row = ApiKey.objects.get()
    assert (row.key, row.last_four) == (SECRET, "7788")
    path = f"apikey/{row.pk}/change/"
    assert send(client, path, {**form, "name": "L", "key": "", "secret_key": "invented-second-half"}).status_code == 302
    row = ApiKey.objects.get()
    assert (row.name, row.key, row.secrets) == ("L", SECRET, {"secret_key": "invented-second-half"})
    assert send(client, path, {**form, "key": "", "daily_quota": "5"}).status_code == 302
    row = ApiKey.objects.get()
    assert (row.daily_quota, row.secrets) == (5, {"secret_key": "invented-second-half"})
    assert send(client, "apikey/add/", {**form, "key": ""}).status_code == 200, "a new key needs its text"
    assert ApiKey.objects.count() == 1


def test_a_workflow_is_checked_saved_and_restored(client: Client) -> None:
    graph = {"1": {"class_type": "SaveImage", "inputs": {}}}
    form = {
        "action": "a",
        "name": "W",
        "version": "v1",
        "type": "comfyui",
        "status": "active",
        "definition": json.dumps(graph),
        "metadata": "{}",
    }
    assert send(client, "workflow/add/", form).status_code == 302
    row = Workflow.objects.get()
    path = f"workflow/{row.pk}/change/"
    assert "SaveImage" in page(client, path)
    wrong = send(client, path, {**form, "definition": '{"x": 1}'})
    assert wrong.status_code == 200
    assert "holds no graph" in wrong.content.decode()
    other = {"2": {"class_type": "PreviewImage", "inputs": {}}}
    assert send(client, path, {**form, "definition": json.dumps(other)}).status_code == 302
    assert Workflow.objects.get().revision == 2
    first = WorkflowRevision.objects.get(number=1)
    send(client, "workflowrevision/", {"action": "restore", "_selected_action": [first.pk]})
    row = Workflow.objects.get()
    assert (row.definition, row.revision) == (graph, 3)


def test_test_connection_drain_and_resume_by_buttons_and_in_the_list(client: Client) -> None:
    make_executor("n")
    for command, text in (("test", "answers: version"), ("drain", ""), ("resume", "")):
        answer = client.post(f"/admin/executors/executor/n/command/{command}/", follow=True)
        assert text in answer.content.decode()
        assert Executor.objects.get().is_draining is (command == "drain")
    assert Executor.objects.get().health_status == "healthy"
    Node.health = Health(is_up=False, message="refused")
    answer = client.post(
        "/admin/executors/executor/", {"action": "test_connections", "_selected_action": ["n"]}, follow=True
    )
    assert "cannot be used: refused" in answer.content.decode()
    client.post("/admin/executors/executor/", {"action": "drain", "_selected_action": ["n"]})
    assert Executor.objects.get().is_draining
    assert client.get("/admin/executors/executor/n/command/drain/").status_code == 405


def test_only_those_who_may_change_may_command(db: None) -> None:
    make_executor("n")
    client = Client()
    client.force_login(User.objects.create(username="looker", is_staff=True))
    assert client.post("/admin/executors/executor/n/command/drain/").status_code == 403
    assert not Executor.objects.get().is_draining


def test_a_list_costs_the_same_for_one_as_for_many(client: Client) -> None:
    def count(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            page(client, path)
        return len(queries)

    flow = Workflow.objects.create(pk="w", action="a", name="W")

    def add(number: int) -> None:
        row = make_executor(f"n{number}")
        make_key(f"k{number}")
        WorkflowBinding.objects.create(action="a", workflow=flow, executor=row)
        Lease.objects.create(executor=row, holder=f"t{number}", place=1)

    add(0)
    paths = ("executor/", "apikey/", "workflow/", "workflowbinding/", "lease/")
    before = [count(path) for path in paths]
    for number in range(1, 6):
        add(number)
    assert [count(path) for path in paths] == before
    assert max(before) <= 8
