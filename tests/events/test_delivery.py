"""Callbacks: signed, repeated until they arrive, never at the cost of others. R10."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from podi.events import delivery, keys, sending, services
from podi.events.errors import DeliveryNotFound, DeliveryUnderWay
from podi.events.models import Delivery, DeliveryAttempt, Event
from tests.events.facts import fact, record_callback, user
from tests.simulators.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)


def run(wait_s: float = 10) -> int:
    return delivery.run_due(limit=100, wait_s=wait_s)


def make_due(row: Delivery) -> None:
    Delivery.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now())


def test_R10_a_callback_arrives_signed_with_the_exact_body(receiver: Receiver) -> None:
    owner = user()
    body = {"status": "success", "taskId": "t1.podi.auto.x", "result": {"名": "杯子", "n": 1.5}, "error": None}
    row = record_callback(receiver.url(), owner=owner, body=body, headers={"X-Shop": "abc"})

    assert run() == 1

    [request] = receiver.received()
    assert Webhook(keys.current_secret(owner.pk).secret).verify(request.body, dict(request.headers)) == body
    assert request.body == row.body.encode()
    assert request.headers["webhook-id"] == row.pk
    assert request.headers["x-shop"] == "abc"
    assert request.headers["content-type"] == "application/json"
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_status, row.last_error) == ("delivered", 1, 200, "")
    attempt = row.log.get()
    assert (attempt.number, attempt.http_status, attempt.answer) == (1, 200, "ok")


def test_a_signature_does_not_fit_another_owner_or_a_changed_body(receiver: Receiver) -> None:
    owner, other = user(), user()
    record_callback(receiver.url(), owner=owner)
    run()
    [request] = receiver.received()
    with pytest.raises(WebhookVerificationError):
        Webhook(keys.current_secret(other.pk).secret).verify(request.body, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(keys.current_secret(owner.pk).secret).verify(request.body + b" ", dict(request.headers))


def test_after_a_change_of_the_secret_both_verify(receiver: Receiver) -> None:
    owner = user()
    before = keys.current_secret(owner.pk)
    after = keys.change_secret(owner.pk)
    assert before.secret != after.secret
    assert before.previous_valid_until is None
    assert after.previous_valid_until is not None
    record_callback(receiver.url(), owner=owner)
    run()
    [request] = receiver.received()
    for secret in (before.secret, after.secret):
        Webhook(secret).verify(request.body, dict(request.headers))


def test_nothing_is_delivered_of_a_transaction_that_is_rolled_back(receiver: Receiver) -> None:
    callback = services.Callback(url=receiver.url(), body={"status": "success"})
    with transaction.atomic():
        services.record(fact(callback=callback))
        transaction.set_rollback(True)
    assert run() == 0
    assert receiver.journal == []
    assert not Event.objects.exists()


def test_R10_a_failing_receiver_is_tried_again_later_with_the_same_id_and_body(receiver: Receiver) -> None:
    receiver.script(Reply(status=500, body=b"down"), Reply(status=502))
    row = record_callback(receiver.url())
    run()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_status, row.last_error) == ("pending", 1, 500, "HTTP 500")
    assert row.next_attempt_at is not None
    assert timedelta(seconds=2) < row.next_attempt_at - timezone.now() < timedelta(seconds=7)
    assert run() == 0  # not due yet

    for _ in range(2):
        make_due(row)
        run()
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("delivered", 3)
    requests = receiver.received()
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    assert len({request.body for request in requests}) == 1
    assert [attempt.http_status for attempt in row.log.order_by("number")] == [500, 502, 200]


def test_the_back_off_covers_more_than_a_day() -> None:
    waits = [delivery.next_wait_s(tries) for tries in range(1, len(delivery.BACKOFF_S) + 1)]
    assert waits == sorted(waits)
    assert sum(delivery.BACKOFF_S) > 24 * 3600


def test_R10_after_the_last_attempt_it_is_given_up_and_operators_are_told(receiver: Receiver) -> None:
    receiver.usual = Reply(status=500)
    row = record_callback(receiver.url(), owner=user())
    tries = len(delivery.BACKOFF_S) + 1
    for _ in range(tries):
        make_due(row)
        run()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.next_attempt_at) == ("dead", tries, None)
    alert = Event.objects.get(topic="delivery.dead")
    assert alert.owner_id is None
    assert alert.payload["deliveryId"] == row.pk
    assert run() == 0
    assert len(receiver.received()) == tries


def test_410_gives_up_at_once(receiver: Receiver) -> None:
    receiver.script(Reply(status=410))
    row = record_callback(receiver.url())
    run()
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("dead", 1)
    assert Event.objects.filter(topic="delivery.dead").count() == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(receiver: Receiver, status: int) -> None:
    receiver.script(Reply(status=status, headers={"Retry-After": "600"}))
    row = record_callback(receiver.url())
    run()
    row.refresh_from_db()
    assert row.next_attempt_at is not None
    assert timedelta(seconds=590) < row.next_attempt_at - timezone.now() <= timedelta(seconds=600)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("Mon, 02 Jan 2040 00:01:00 GMT", 60.0),
        ("Mon, 02 Jan 2020 00:00:00 GMT", 0.0),
        ("999999999", 12 * 3600.0),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_in_both_forms_within_bounds(text: str, seconds: float | None) -> None:
    assert sending.read_retry_after(text, now=datetime(2040, 1, 2, tzinfo=UTC)) == seconds


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.script(Reply(status=302, headers={"Location": receiver.url("/elsewhere")}))
    row = record_callback(receiver.url())
    run()
    row.refresh_from_db()
    assert (row.state, row.last_status) == ("pending", 302)
    assert receiver.received("/elsewhere") == []


def test_a_cut_connection_and_a_dead_port_are_tried_again(receiver: Receiver) -> None:
    receiver.script(Reply(cut=True))
    cut = record_callback(receiver.url())
    dead = record_callback("http://127.0.0.1:1/hook")
    run()
    for row in (cut, dead):
        row.refresh_from_db()
        assert (row.state, row.attempts, row.last_status) == ("pending" if row is cut else row.state, 1, None)
        assert row.last_error


def test_a_private_address_that_a_name_leads_to_is_refused_and_nothing_is_sent(
    receiver: Receiver, settings: Any
) -> None:
    settings.FETCH_ALLOWED_NETWORKS = []
    row = record_callback(receiver.url().replace("127.0.0.1", "localhost"))
    run()
    row.refresh_from_db()
    assert row.state == "dead"
    assert "not allowed" in row.last_error
    assert receiver.journal == []


def test_a_huge_answer_is_cut_and_counts_as_delivered(receiver: Receiver) -> None:
    receiver.script(Reply(body=b"x" * 3_000_000))
    row = record_callback(receiver.url())
    run()
    row.refresh_from_db()
    assert row.state == "delivered"
    assert len(row.log.get().answer) == sending.MAX_ANSWER_BYTES


def test_two_senders_at_once_send_each_delivery_once(receiver: Receiver) -> None:
    receiver.usual = Reply(delay_s=0.05)
    rows = [record_callback(receiver.url(f"/{number}")) for number in range(6)]
    barrier = threading.Barrier(3)
    started = []

    def send() -> None:
        barrier.wait()
        try:
            started.append(run())
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 10
    while Delivery.objects.exclude(state="delivered").exists() and time.monotonic() < until:
        run()
    assert sorted(request.path for request in receiver.journal) == [f"/{number}" for number in range(6)]
    assert DeliveryAttempt.objects.count() == len(rows)


def test_a_dead_receiver_with_a_long_queue_does_not_slow_a_healthy_one(receiver: Receiver) -> None:
    with Receiver(usual=Reply(hang=True)) as hanging:
        for number in range(40):
            record_callback(hanging.url(f"/{number}"))
        row = record_callback(receiver.url())
        started_at = time.monotonic()
        delivery.run_due(limit=100)
        assert receiver.wait_for(1), "the healthy receiver waited"
        assert time.monotonic() - started_at < 3
        assert len(hanging.journal) <= delivery.PER_HOST
        assert hanging.busiest <= delivery.PER_HOST
    until = time.monotonic() + 5
    while Delivery.objects.filter(claimed_until__isnull=False).exists() and time.monotonic() < until:
        time.sleep(0.02)
    row.refresh_from_db()
    assert row.state == "delivered"


def test_killed_after_the_receiver_answered_it_is_sent_again_under_the_same_id(receiver: Receiver) -> None:
    row = record_callback(receiver.url())
    assert delivery._claim(row)
    sending.send(delivery._parcel(row), allowed_networks=["127.0.0.0/8"])  # the process dies here: nothing is written
    assert run() == 0  # still claimed
    Delivery.objects.filter(pk=row.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert run() == 1
    first, second = receiver.received()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("delivered", 2)


def test_a_late_failure_does_not_overwrite_what_a_newer_attempt_wrote(receiver: Receiver) -> None:
    row = record_callback(receiver.url())
    delivery._claim(row)
    Delivery.objects.filter(pk=row.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))
    run()
    late = sending.Outcome(started_at=timezone.now(), duration_ms=1, error="too late", is_final=True)
    delivery._write(row, late)
    row.refresh_from_db()
    assert (row.state, row.last_error) == ("delivered", "")
    assert not Event.objects.filter(topic="delivery.dead").exists()


def test_send_again_starts_a_new_round_with_the_same_id(receiver: Receiver) -> None:
    receiver.script(Reply(status=410))
    owner = user()
    row = record_callback(receiver.url(), owner=owner)
    run()
    services.send_again(owner, row.pk)
    run()
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("delivered", 2)
    assert len({request.headers["webhook-id"] for request in receiver.received()}) == 1
    audit = Event.objects.get(topic="delivery.resent")
    assert (audit.owner_id, audit.payload["by"]) == (owner.pk, owner.username)


def test_a_new_round_has_all_its_attempts(receiver: Receiver) -> None:
    receiver.usual = Reply(status=500)
    owner = user()
    row = record_callback(receiver.url(), owner=owner)
    Delivery.objects.filter(pk=row.pk).update(state="dead", attempts=11, next_attempt_at=None)
    services.send_again(owner, row.pk)
    run()
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("pending", 12)


def test_nobody_sends_the_delivery_of_another_again_but_operators(receiver: Receiver) -> None:
    owner, other, operator = user(), user(), user(staff=True)
    row = record_callback(receiver.url(), owner=owner)
    run()
    with pytest.raises(DeliveryNotFound):
        services.send_again(other, row.pk)
    assert run() == 0
    services.send_again(operator, row.pk)
    assert run() == 1


def test_what_is_under_way_is_not_started_again(receiver: Receiver) -> None:
    owner = user()
    row = record_callback(receiver.url(), owner=owner)
    delivery._claim(row)
    with pytest.raises(DeliveryUnderWay):
        services.send_again(owner, row.pk)
    assert run() == 0
    assert receiver.journal == []
    assert not Event.objects.filter(topic="delivery.resent").exists()


def test_headers_of_the_caller_are_not_readable_in_the_database(receiver: Receiver) -> None:
    row = record_callback(receiver.url(), headers={"Authorization": "Bearer invented-secret"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT headers FROM deliveries WHERE id = %s", [row.pk])
        assert "invented" not in cursor.fetchone()[0]
    run()
    assert receiver.received()[0].headers["authorization"] == "Bearer invented-secret"


def test_the_body_is_compact_json_with_readable_text() -> None:
    row = record_callback("http://127.0.0.1:1/", body={"at": datetime(2040, 1, 2, tzinfo=UTC), "名": [1]})
    assert json.loads(row.body) == {"at": "2040-01-02T00:00:00Z", "名": [1]}
    assert ", " not in row.body


def test_the_receiver_code_in_the_documentation_tells_genuine_from_forged(receiver: Receiver) -> None:
    owner = user()
    record_callback(receiver.url(), owner=owner)
    run()
    [request] = receiver.received()
    text = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "hmac" in block)
    names: dict[str, Any] = {"secret": keys.current_secret(owner.pk).secret, "headers": request.headers}
    for body, is_genuine in ((request.body, True), (request.body + b" ", False)):
        exec(code, found := {**names, "body": body})
        assert found["is_genuine"] is is_genuine
