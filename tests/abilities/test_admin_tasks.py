"""Tasks and the call log in the admin: found by every id, cancelled and retried by services, shown while they run."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from abilities.admin import timeline
from abilities.models import Ability, Invocation, Task
from executors.models import Executor
from podi.base.ids import encode_task_id
from podi.base.models import User
from podi.events import services as events
from podi.events.models import Delivery
from tests.abilities.conftest import Api, png_base64
from tests.abilities.rows import make_row
from tests.flows.driver import work_off

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/abilities/task/"
LOG = "/admin/abilities/invocation/"


@pytest.fixture(autouse=True)
def english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def create(api: Api, ability: Ability, **more: Any) -> Task:
    body = {"abilityId": ability.pk, "imageBase64": png_base64(), **more}
    response = api.post("/api/ability-tasks", body)
    assert response.status_code == 200, response.content
    return Task.objects.get(pk=response.json()["id"])


def found(desk: Client, url: str) -> list[Any]:
    return [row.pk for row in desk.get(url).context["cl"].result_list]


def said(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def test_a_task_is_found_by_every_id_it_has(desk: Client, api: Api, upscale: Ability) -> None:
    task = create(api, upscale, metadata={"traceId": "trace-7"})
    make_row(Task)
    public = encode_task_id(task.pk, provider="podi", executor_id="")
    work_off()
    for term in (task.pk, public, task.pk[:8], "trace-7", task.request_id, "lin", "LIN@shop.example"):
        assert found(desk, f"{LIST}?q={term}") == [task.pk], term


def test_R30_searching_reads_no_table_from_end_to_end(desk: Client, api: Api, upscale: Ability) -> None:
    """Each kind of term is answered through an index before anything is scanned."""
    task = create(api, upscale, metadata={"traceId": "trace-7"})
    work_off()
    for term in (task.pk, "trace-7", "lin"):
        with CaptureQueriesContext(connection) as queries:
            desk.get(f"{LIST}?q={term}")
        for query in queries.captured_queries:
            sql = query["sql"]
            if '"tasks"' not in sql or not sql.startswith("SELECT"):
                continue
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN QUERY PLAN " + sql)
                plan = " | ".join(str(row[-1]) for row in cursor.fetchall())
            assert "SCAN tasks" not in plan or "USING INDEX" in plan, (sql, plan)


def test_R30_no_filter_asks_a_large_table_what_values_it_holds(desk: Client) -> None:
    make_row(Invocation)
    for url in (LIST, LOG):
        with CaptureQueriesContext(connection) as queries:
            desk.get(url)
        assert not [query["sql"] for query in queries.captured_queries if "DISTINCT" in query["sql"]]


def test_the_page_of_a_task_tells_its_life(desk: Client, api: Api, upscale: Ability) -> None:
    task = create(api, upscale)
    page = desk.get(f"{LIST}{task.pk}/change/").content.decode()
    assert 'data-final=""' in page
    work_off()
    page = desk.get(f"{LIST}{task.pk}/change/").content.decode()
    for piece in (
        'data-final="1"',
        "podi-phase-queued",
        "podi-phase-storing",
        "64 × 48 px",
        "/thumbnail",
        "t1.podi.auto.",
    ):
        assert piece in page, piece
    assert desk.get(f"{LIST}{encode_task_id(task.pk, provider='podi')}/change/").status_code == 200
    assert desk.get(f"{LIST}no-such-task/change/").status_code == 404


def test_the_live_part_costs_few_queries_and_says_when_to_stop(
    desk: Client, api: Api, upscale: Ability, django_assert_max_num_queries: Any
) -> None:
    task = create(api, upscale)
    url = f"{LIST}{task.pk}/live/"
    with django_assert_max_num_queries(12):
        assert desk.get(url)["X-Task-Final"] == "0"
    work_off()
    with django_assert_max_num_queries(10):
        answer = desk.get(url)
    assert answer["X-Task-Final"] == "1"
    assert "no-store" in answer["Cache-Control"]


def test_a_waiting_task_is_cancelled_and_then_tried_again(desk: Client, api: Api, upscale: Ability) -> None:
    task = create(api, upscale)
    assert "cancelled" in said(desk.post(f"{LIST}{task.pk}/cancel/"))
    task.refresh_from_db()
    assert task.state == "cancelled"
    response = desk.post(f"{LIST}{task.pk}/retry/")
    again = Task.objects.get(retry_of=task)
    assert again.pk in response["Location"]
    assert (again.state, again.owner) == ("queued", task.owner)


def test_a_refused_cancel_or_retry_is_a_message_and_changes_nothing(desk: Client, api: Api, upscale: Ability) -> None:
    task = create(api, upscale)
    work_off()
    assert "has ended" in said(desk.post(f"{LIST}{task.pk}/cancel/"))
    assert "failed or was cancelled" in said(desk.post(f"{LIST}{task.pk}/retry/"))
    task.refresh_from_db()
    assert task.state == "succeeded"
    assert Task.objects.count() == 1
    for name in ("cancel", "retry", "resend"):
        assert desk.get(f"{LIST}{task.pk}/{name}/").status_code == 405


def test_actions_on_the_list_go_through_the_services(desk: Client, api: Api, upscale: Ability) -> None:
    tasks = [create(api, upscale) for _ in range(3)]
    work_off()
    waiting = create(api, upscale)
    chosen = {"_selected_action": [task.pk for task in (*tasks, waiting)]}
    words = said(desk.post(LIST, {"action": "cancel_tasks", **chosen}))
    assert "1 task: cancel asked." in words
    assert words.count("has ended") == 3
    assert "1 new task." in said(desk.post(LIST, {"action": "retry_tasks", "_selected_action": [waiting.pk]}))


def test_those_who_may_only_look_cannot_operate(client: Client, api: Api, upscale: Ability, user: User) -> None:
    from django.contrib.auth.models import Permission

    task = create(api, upscale)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_task", content_type__app_label="abilities"))
    client.force_login(User.objects.get(pk=user.pk))
    assert "podi-danger" not in client.get(f"{LIST}{task.pk}/change/").content.decode()
    for name in ("cancel", "retry", "resend"):
        assert client.post(f"{LIST}{task.pk}/{name}/").status_code == 403
    client.post(LIST, {"action": "cancel_tasks", "_selected_action": [task.pk]})
    task.refresh_from_db()
    assert task.state == "queued"


def test_a_callback_is_sent_again_from_the_page(desk: Client, api: Api, upscale: Ability) -> None:
    task = create(api, upscale, callbackUrl="https://shop.example/hook")
    work_off()
    Delivery.objects.update(state="dead", attempts=9, last_error="no route")
    delivery = events.deliveries_of(("task", task.pk)).get()
    page = desk.get(f"{LIST}{task.pk}/change/").content.decode()
    assert "no route" in page
    response = desk.post(f"{LIST}{task.pk}/resend/", {"delivery": delivery.pk})
    assert "on its way again" in said(response)
    delivery.refresh_from_db()
    assert delivery.state == "pending"
    foreign = make_row(Delivery, state="dead")
    assert "no such delivery" in said(desk.post(f"{LIST}{task.pk}/resend/", {"delivery": foreign.pk}))
    foreign.refresh_from_db()
    assert foreign.state == "dead"


def test_filters_narrow_the_list(desk: Client, upscale: Ability) -> None:
    executor = make_row(Executor)
    mine = make_row(Task, ability=upscale, executor=executor, state="queued", source="coze")
    old = make_row(Task, created_at=timezone.now() - timedelta(days=3), state="cancelled", provider="comfyui")
    for query in (f"ability={upscale.pk}", f"executor={executor.pk}", "state__exact=queued", "source=coze"):
        assert found(desk, f"{LIST}?{query}") == [mine.pk], query
    assert found(desk, f"{LIST}?when=24h") == [mine.pk]
    assert set(found(desk, f"{LIST}?when=7d")) == {mine.pk, old.pk}
    assert found(desk, f"{LIST}?provider=comfyui") == [old.pk]


def test_the_timeline_cuts_every_attempt_into_its_phases() -> None:
    begin = timezone.now()

    def at(seconds: float) -> Any:
        return begin + timedelta(seconds=seconds)

    task = Task(created_at=begin, finished_at=at(20), state="succeeded")
    first = Invocation(status="failed", created_at=at(2), sent_at=at(2), finished_at=at(4))
    second = Invocation(
        status="success",
        created_at=at(5),
        sent_at=at(5),
        accepted_at=at(6),
        ran_at=at(9),
        done_at=at(18),
        finished_at=at(20),
    )
    drawn = timeline.draw(task, [first, second], now=at(99))
    shown = [[(s.phase, s.left, s.width) for s in bar.segments] for bar in drawn.bars]
    assert shown == [
        [("queued", 0.0, 10.0), ("sending", 10.0, 10.0)],
        [
            ("queued", 20.0, 5.0),
            ("sending", 25.0, 5.0),
            ("provider", 30.0, 15.0),
            ("running", 45.0, 45.0),
            ("storing", 90.0, 10.0),
        ],
    ]
    waiting = timeline.draw(Task(created_at=begin, state="queued"), [], now=at(3))
    assert [(s.phase, s.width) for s in waiting.bars[0].segments] == [("queued", 100.0)]


def test_the_call_log_is_found_exported_and_read(desk: Client, api: Api, upscale: Ability) -> None:
    task = create(api, upscale, metadata={"traceId": "trace-9"})
    work_off()
    row = Invocation.objects.get()
    for term in (row.pk, task.pk, "trace-9", row.request_id):
        assert found(desk, f"{LOG}?q={term}") == [row.pk], term
    page = desk.get(f"{LOG}{row.pk}/change/").content.decode()
    assert "podi-json-key" in page
    assert f"/admin/abilities/task/{task.pk}/change/" in page
    answer = desk.post(LOG, {"action": "export_csv", "_selected_action": [row.pk]})
    item = next(iter(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))))
    assert (item["task_id"], item["trace_id"], item["status"]) == (task.pk, "trace-9", "success")
    assert item["callback_id"].startswith("t1.podi.")
    json_item = desk.post(LOG, {"action": "export_json", "_selected_action": [row.pk]}).json()[0]
    assert list(json_item) == list(item)


def test_the_metrics_page_shows_counts_rates_and_percentiles(desk: Client, upscale: Ability) -> None:
    executor = make_row(Executor, name="Node seven")
    task = make_row(Task, ability=upscale)
    for attempt in range(1, 11):
        make_row(
            Invocation,
            task=task,
            ability=upscale,
            ability_provider="podi",
            capability_key="upscale_resize",
            executor=executor,
            attempt=attempt,
            status="success" if attempt <= 8 else "failed",
            duration_ms=attempt * 100,
            created_at=timezone.now() - timedelta(minutes=attempt),
        )
    page = desk.get(f"{LOG}metrics/?hours=24&by=executor").content.decode()
    for piece in ("Node seven", "80.0%", "400 ms · 700 ms", "<rect", upscale.display_name):
        assert piece in page, piece
    assert "No calls in this time" in desk.get(f"{LOG}metrics/?provider=comfyui").content.decode()
    assert desk.get(f"{LOG}metrics/?hours=nonsense").status_code == 200


def test_nobody_but_operators_reads_metrics_or_live_parts(client: Client, user: User) -> None:
    task = make_row(Task)
    for url in (f"{LOG}metrics/", f"{LIST}{task.pk}/live/"):
        client.force_login(user)
        assert client.get(url).status_code == 302
        clerk = User.objects.create_user(f"clerk-{len(url)}", is_staff=True)
        client.force_login(clerk)
        assert client.get(url).status_code == 403
