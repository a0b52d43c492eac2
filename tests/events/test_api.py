"""REST of events and deliveries: own ones, everybody's for operators, in few queries."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from rest_framework_simplejwt.tokens import AccessToken

from podi.base import services as accounts
from podi.base.models import User
from podi.events import keys
from podi.events.models import Delivery, DeliveryAttempt, Event, WebhookKey
from tests.events.facts import record, record_callback, user

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/notify/v1"


class Caller:
    def __init__(self, person: User | None = None, *, token: str = "") -> None:
        self.client = Client()
        if person is not None:
            access = AccessToken()
            access["sub"] = str(person.pk)
            token = str(access)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        return self.client.get(BASE + path, headers=self.headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(BASE + path, body, content_type="application/json", headers=self.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/events"),
        ("get", "/deliveries"),
        ("get", "/webhook-secret"),
        ("post", "/webhook-secret"),
        ("post", "/event"),
        ("post", "/deliveries/x/resend"),
    ],
)
def test_every_address_needs_a_caller(method: str, path: str) -> None:
    answer = getattr(Caller(), method)(path)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "AUTHORIZATION_REQUIRED"
    assert not Event.objects.exists()
    assert not WebhookKey.objects.exists()


def test_events_are_replayed_page_by_page_and_only_ones_own() -> None:
    owner, other = user(), user()
    for number in range(5):
        record(owner, n=number)
        record(other, n=-1)
    after, seen = 0, []
    while True:
        page = Caller(owner).get(f"/events?after={after}&limit=2").json()
        seen += [item["payload"]["n"] for item in page["items"]]
        after = page["lastEventId"]
        if not page["hasMore"]:
            break
    assert seen == [0, 1, 2, 3, 4]
    empty = Caller(owner).get(f"/events?after={after}").json()
    assert empty == {"items": [], "lastEventId": after, "hasMore": False, "isIncomplete": False}
    assert set(page["items"][0]) == {"type", "id", "payload", "timestamp"}


def test_operators_may_replay_everything_others_not() -> None:
    owner, operator = user(), user(staff=True)
    record(owner, n=1)
    record(None, n=2)
    assert [item["payload"]["n"] for item in Caller(operator).get("/events?all=1").json()["items"]] == [1, 2]
    assert Caller(operator).get("/events").json()["items"] == []
    refused = Caller(owner).get("/events?all=1")
    assert (refused.status_code, refused.json()["detail"]) == (403, "ADMIN_ONLY")


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=0", "limit=501"])
def test_senseless_numbers_are_refused(query: str) -> None:
    assert Caller(user()).get(f"/events?{query}").status_code == 422


def test_an_operator_records_a_debug_event() -> None:
    operator, other = user(staff=True), user()
    answer = Caller(operator).post("/event", {"type": "task.status", "payload": {"taskId": "a"}})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    Caller(operator).post(f"/event?ownerId={other.pk}", {"anything": 1})
    first, second = Event.objects.order_by("id")
    assert (first.topic, first.payload, first.owner_id) == ("task.status", {"taskId": "a"}, operator.pk)
    assert (second.topic, second.payload, second.owner_id) == ("debug", {"anything": 1}, other.pk)


def test_a_debug_event_is_refused_to_others_and_when_it_makes_no_sense() -> None:
    operator = Caller(user(staff=True))
    assert Caller(user()).post("/event", {"a": 1}).json()["detail"] == "ADMIN_ONLY"
    assert operator.post("/event", [1]).status_code == 422
    assert operator.post("/event", {"type": "x" * 65, "payload": {}}).status_code == 422
    assert operator.post("/event", {"a": "x" * 70_000}).status_code == 422
    assert operator.post("/event?ownerId=nobody", {"a": 1}).status_code == 404
    assert not Event.objects.exists()


def test_deliveries_show_their_attempts_and_no_secret_headers(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    owner = user()
    for _ in range(10):
        row = record_callback("http://127.0.0.1:1/", owner=owner, headers={"X-Key": "invented-secret"})
        DeliveryAttempt.objects.create(
            delivery=row, number=1, started_at=row.created_at, duration_ms=5, http_status=500, error="HTTP 500"
        )
    record_callback("http://127.0.0.1:1/", owner=user())
    caller = Caller(owner)
    with django_assert_num_queries(4):  # user, deliveries with events, attempts, count
        answer = caller.get("/deliveries")
    body = answer.json()
    assert (body["total"], len(body["items"])) == (10, 10)
    assert body["items"][0]["log"][0]["httpStatus"] == 500
    assert "invented" not in answer.content.decode()
    assert caller.get("/deliveries?state=dead").json()["total"] == 0
    assert caller.get("/deliveries?state=wrong").status_code == 422
    assert caller.get("/deliveries?subjectId=t").json()["total"] == 10


def test_resend_is_for_the_owner_and_for_operators() -> None:
    owner, other, operator = user(), user(), user(staff=True)
    row = record_callback("http://127.0.0.1:1/", owner=owner)
    Delivery.objects.update(state="dead", next_attempt_at=None)
    refused = Caller(other).post(f"/deliveries/{row.pk}/resend")
    assert (refused.status_code, refused.json()["detail"]) == (404, "DELIVERY_NOT_FOUND")
    _token, text = accounts.issue_token(operator, operator, name="no admin", scopes=["tasks:write"])
    assert Caller(token=text).post(f"/deliveries/{row.pk}/resend").status_code == 403
    row.refresh_from_db()
    assert row.state == "dead"
    for caller in (owner, operator):
        answer = Caller(caller).post(f"/deliveries/{row.pk}/resend")
        assert (answer.status_code, answer.json()["state"]) == (200, "pending")


def test_the_signing_secret_is_shown_to_its_owner_and_changes_on_demand() -> None:
    owner, other = user(), user()
    first = Caller(owner).get("/webhook-secret")
    assert first.json() == {"secret": keys.current_secret(owner.pk).secret, "previousValidUntil": None}
    assert first["Cache-Control"] == "no-store"
    assert Caller(other).get("/webhook-secret").json()["secret"] != first.json()["secret"]
    changed = Caller(owner).post("/webhook-secret").json()
    assert changed["secret"] != first.json()["secret"]
    assert changed["previousValidUntil"].endswith("Z")
    assert Caller(owner).get("/webhook-secret").json()["secret"] == changed["secret"]
