"""Events and deliveries in the admin: seen by operators, changed by nobody, sent again on demand."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from podi.base.models import User
from podi.events import keys
from podi.events.models import Delivery, DeliveryAttempt, Event
from tests.events.facts import record, record_callback, user

pytestmark = pytest.mark.django_db

LIST = "/admin/events/delivery/"


@pytest.fixture
def root() -> User:
    return User.objects.create(username="root", is_staff=True, is_superuser=True)


@pytest.fixture
def browser(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


def test_events_are_listed_filtered_and_searched(browser: Client) -> None:
    owner = user("shop-a")
    record(owner, "task.status", taskId="aaa", status="queued")
    record(None, "delivery.dead", taskId="bbb")
    page = browser.get("/admin/events/event/").content.decode()
    assert "shop-a" in page
    assert "queued" in page
    for query, present, absent in (
        ("topic=delivery.dead", "bbb", "aaa"),
        ("q=aaa", "aaa", "bbb"),
        ("audience=operators", "bbb", "aaa"),
        (f"owner__id__exact={owner.pk}", "aaa", "bbb"),
    ):
        body = browser.get(f"/admin/events/event/?{query}").content.decode()
        rows = body[body.index("result_list") :]
        assert present in rows
        assert absent not in rows


def test_the_list_of_events_costs_few_queries(
    browser: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(40):
        record(user(), taskId=str(number))
    with django_assert_max_num_queries(6):
        browser.get("/admin/events/event/")


def test_the_list_of_deliveries_costs_few_queries(
    browser: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        record_callback("http://127.0.0.1:1/", owner=user())
    with django_assert_max_num_queries(5):
        browser.get(LIST)


def test_a_delivery_shows_attempts_but_no_header_values(browser: Client) -> None:
    owner = user()
    row = record_callback("http://127.0.0.1:1/x", owner=owner, headers={"X-Key": "invented-secret"}, body={"名": "杯"})
    DeliveryAttempt.objects.create(
        delivery=row, number=1, started_at=timezone.now(), duration_ms=7, http_status=500, answer="<b>down</b>"
    )
    page = browser.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "X-Key" in page
    assert "invented-secret" not in page
    assert "杯" in page
    assert "&lt;b&gt;down&lt;/b&gt;" in page
    assert keys.current_secret(owner.pk).secret in page


def test_the_signing_secret_is_for_superusers(root: User) -> None:
    from django.contrib.auth.models import Permission

    owner, staff = user(), user(staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    row = record_callback("http://127.0.0.1:1/x", owner=owner)
    client = Client()
    client.force_login(staff)
    page = client.get(f"{LIST}{row.pk}/change/").content.decode()
    assert row.pk in page
    assert keys.current_secret(owner.pk).secret not in page


def test_dead_letters_are_sent_again_by_an_action(browser: Client) -> None:
    dead, fine = record_callback("http://127.0.0.1:1/dead"), record_callback("http://127.0.0.1:1/fine")
    Delivery.objects.filter(pk=dead.pk).update(state="dead", next_attempt_at=None)
    listed = browser.get(f"{LIST}?state__exact=dead").content.decode()
    assert "/dead" in listed
    assert "/fine" not in listed
    answer = browser.post(LIST, {"action": "send_again", "_selected_action": [dead.pk]}, follow=True)
    assert answer.status_code == 200
    dead.refresh_from_db()
    assert dead.state == "pending"
    assert Event.objects.get(topic="delivery.resent").payload["by"] == "root"
    assert fine.state == "pending"


@pytest.mark.parametrize("what", ["subject", "id", "host"])
def test_deliveries_are_found_by_id_task_or_host(browser: Client, what: str) -> None:
    row = record_callback("http://127.0.0.1:1/mine")
    record_callback("http://localhost:2/other")
    Event.objects.filter(pk=row.event_id).update(subject_id="wanted")
    term = {"subject": "wanted", "id": row.pk, "host": "127.0.0.1:1"}[what]
    page = browser.get(f"{LIST}?q={term}").content.decode()
    assert "/mine" in page
    assert "/other" not in page


def test_nothing_can_be_changed_or_deleted(browser: Client) -> None:
    event, row = record(), record_callback("http://127.0.0.1:1/")
    for address in (f"/admin/events/event/{event.pk}/", f"{LIST}{row.pk}/"):
        assert browser.post(f"{address}delete/", {"post": "yes"}).status_code == 403
        assert browser.post(f"{address}change/", {}).status_code == 403
    assert browser.get("/admin/events/event/add/").status_code == 403
    assert Event.objects.filter(pk=event.pk).exists()
    assert Delivery.objects.filter(pk=row.pk).exists()


def test_deliveries_are_exported_without_headers(browser: Client) -> None:
    row = record_callback("http://127.0.0.1:1/", headers={"X-Key": "invented-secret"})
    answer = browser.post(LIST, {"action": "export_csv", "_selected_action": [row.pk]})
    assert row.pk in answer.content.decode()
    assert "invented" not in answer.content.decode()
