"""The admin's index: today's numbers in a fixed number of queries, sections in order, two languages."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from abilities import services
from abilities.models import Invocation, Task
from executors.models import Executor
from podi import dashboard
from podi.base.models import User
from podi.events.models import Delivery
from tests.abilities.rows import make_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client: Client, operator: User, settings: Any) -> Client:
    settings.LANGUAGE_CODE = "en"
    client.force_login(operator)
    return client


def fill() -> None:
    now = timezone.now()
    for state, count in (("queued", 3), ("running", 2), ("failed", 1)):
        for _ in range(count):
            make_row(Task, state=state, created_at=now)
    task = make_row(Task, state="succeeded", created_at=now)
    statuses = ["success"] * 3 + ["failed"]
    for attempt, status in enumerate(statuses, start=1):
        cost = Decimal("0.25") if status == "success" else None
        make_row(
            Invocation, task=task, attempt=attempt, status=status, created_at=now, cost_amount=cost, currency="CNY"
        )
    make_row(Invocation, task=task, attempt=9, created_at=now - timedelta(days=2), status="failed")
    make_row(Executor, status="active", name="Fine")
    make_row(Executor, status="active", name="Broken", health_status="unhealthy")
    for state, count in (("pending", 2), ("dead", 1), ("delivered", 4)):
        for _ in range(count):
            make_row(Delivery, state=state)


def test_the_strip_counts_today_in_seven_queries(django_assert_num_queries: Any) -> None:
    fill()
    with django_assert_num_queries(dashboard.QUERIES):
        shown = dashboard.read()
    today = shown["today"]
    assert (today.calls, today.success, today.failed_calls) == (4, 3, 1)
    assert (today.queued, today.running, today.failed_tasks) == (3, 2, 1)
    assert (shown["rate"], shown["costs"]) == ("75.0%", ["0.75 CNY"])
    assert (shown["nodes"]["up"], shown["nodes"]["down"], shown["nodes"]["names"]) == (1, 1, "Broken")
    assert shown["deliveries"] == {"due": 2, "dead": 1}
    assert all(shown["links"].values()), "every number leads to its list"


def test_the_index_shows_the_strip_and_its_sections_in_order(desk: Client) -> None:
    fill()
    response = desk.get("/admin/")
    page = response.content.decode()
    assert "75.0%" in page
    sections = [str(section["name"]) for section in response.context["app_list"]]
    assert [name for name in sections if name != "Coze plugin"] == [
        "Abilities and tasks",
        "Executors",
        "Media",
        "Wallet",
        "Events and callbacks",
        "Accounts and access",
        "Background jobs",
    ]
    first = [model["object_name"] for model in response.context["app_list"][0]["models"]]
    assert first == ["Ability", "Task", "Invocation", "Metrics"]


def test_every_link_of_the_index_opens(desk: Client) -> None:
    shown = dashboard.read()
    urls = set(shown["links"].values())
    for section in desk.get("/admin/").context["app_list"]:
        urls |= {section["app_url"], *(model["admin_url"] for model in section["models"])}
    for url in urls:
        assert desk.get(url).status_code == 200, url


def test_calls_over_time_include_empty_slices() -> None:
    make_row(Invocation, created_at=timezone.now() - timedelta(hours=2), status="success")
    slices = services.calls_over_time(window_hours=24)
    assert len(slices) == 24
    assert sum(part.total for part in slices) == 1
    assert slices[-3].success == 1
    assert all(part.start.minute == 0 for part in slices)
    assert sum(part.total for part in services.calls_over_time(window_hours=2)) <= 1
    assert len(services.calls_over_time(window_hours=720)) == 30


def test_the_language_is_switched_by_a_button_and_stays(desk: Client) -> None:
    page = desk.get("/admin/").content.decode()
    assert 'name="language" value="zh-hans"' in page
    response = desk.post("/i18n/setlang/", {"language": "zh-hans", "next": "/admin/"})
    assert response["Location"] == "/admin/"
    assert '<html lang="zh-hans"' in desk.get("/admin/").content.decode()
    desk.post("/i18n/setlang/", {"language": "en", "next": "/admin/"})
    assert '<html lang="en"' in desk.get("/admin/").content.decode()


def test_an_operator_with_few_rights_sees_an_index_of_few_lists(client: Client) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    response = client.get("/admin/")
    assert response.status_code == 200
    assert response.context["app_list"] == []
    assert response.context["dashboard"] is None


@pytest.mark.parametrize("name", ["admin.css", "admin.js", "live.js", "panel.js", "json.js", "icon.svg"])
def test_every_static_file_is_served_from_here(client: Client, name: str) -> None:
    from django.contrib.staticfiles import finders

    assert finders.find(f"podi/{name}")


def test_no_page_needs_an_inline_script_or_style(desk: Client) -> None:
    """A strict Content-Security-Policy may stand in front."""
    from pathlib import Path

    from django.conf import settings

    folder = Path(settings.BASE_DIR) / "templates"
    for path in [*folder.glob("admin/**/*.html"), *folder.glob("abilities/**/*.html")]:
        text = path.read_text()
        assert "style=" not in text, path
        assert "<script>" not in text, path
        assert " onclick=" not in text, path
        assert "https://" not in text.replace("https://…", ""), path
