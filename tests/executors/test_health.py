"""Breaker, pauses, probes, API keys: what a failure means for the next task."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from executors import services as executors
from executors.errors import ApiKeyNotFound, ApiKeyUnavailable, NodeQueueFull
from executors.models import ApiKey, Executor, ExecutorApiKey, Lease
from executors.providers.base import (
    Health,
    ProviderBusy,
    ProviderRefusedKey,
    ProviderRejected,
    ProviderSilent,
    ProviderUnreachable,
)
from executors.services import Connection, Need
from podi.events.models import Event
from tests.executors.factories import Account, Node, make_executor, make_key

pytestmark = pytest.mark.django_db
NODE = Need(provider="testnode")
SILENT = ProviderSilent("nothing came back")


def connect(executor: str = "a") -> Connection:
    row = Executor.objects.get(pk=executor)
    return executors.connect(row.type, row)


def topics() -> list[str]:
    return list(Event.objects.order_by("id").values_list("topic", flat=True))


def fail(times: int, error: Exception | None = None) -> None:
    for _ in range(times):
        executors.note_failure(connect(), error or ProviderUnreachable("refused"))


def test_the_breaker_opens_after_three_failures_in_a_row_and_tells_once() -> None:
    make_executor("a")
    fail(2)
    assert executors.route(NODE).usable
    fail(1)
    assert not executors.route(NODE).usable
    assert topics() == ["executor.breaker_opened"]
    first_pause = Executor.objects.get().paused_until
    fail(1)
    assert topics() == ["executor.breaker_opened"]
    paused_until = Executor.objects.get().paused_until
    assert paused_until is not None
    assert first_pause is not None
    assert paused_until - first_pause > timedelta(seconds=10), "each further failure doubles the pause"


def test_a_half_open_breaker_lets_one_task_try_and_its_success_closes_it() -> None:
    make_executor("a", max_concurrency=5)
    fail(3, SILENT)
    Executor.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
    early, late = executors.route(NODE), executors.route(NODE)
    assert executors.start("first", early) is not None
    assert executors.start("second", late) is None
    assert executors.start("third", executors.route(NODE)) is None
    executors.note_success(connect())
    row = Executor.objects.get()
    assert (row.failures_in_row, row.paused_until) == (0, None)
    assert executors.start("fourth", executors.route(NODE)) is not None
    assert topics() == ["executor.breaker_opened", "executor.recovered"]


def test_a_failed_trial_opens_the_breaker_again_for_longer() -> None:
    make_executor("a")
    fail(3, SILENT)
    Executor.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
    assert executors.start("first", executors.route(NODE)) is not None
    executors.park("first")
    fail(1, SILENT)
    paused_until = Executor.objects.get().paused_until
    assert paused_until is not None
    assert paused_until > timezone.now() + timedelta(seconds=20)
    assert executors.start("first", executors.route(NODE)) is None


def test_success_on_a_sound_executor_writes_nothing(django_assert_num_queries: Any) -> None:
    make_executor("a")
    connection = connect()
    with django_assert_num_queries(0):
        executors.note_success(connection)


def test_a_refused_input_says_nothing_about_health(django_assert_num_queries: Any) -> None:
    make_executor("a")
    connection = connect()
    with django_assert_num_queries(0):
        executors.note_failure(connection, ProviderRejected("bad prompt"))


def test_R16_a_node_that_refuses_connections_is_down_until_a_probe_finds_it_again() -> None:
    make_executor("a")
    fail(3)
    Executor.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
    assert Executor.objects.get().health_status == "unhealthy"
    assert not executors.route(NODE).usable, "no task is spent on finding out"
    executors.probe("a")
    assert executors.route(NODE).usable
    assert Executor.objects.get().failures_in_row == 0
    assert topics() == ["executor.breaker_opened", "executor.up"]


def test_an_executor_on_trial_comes_after_the_sound_ones_and_never_blocks_them() -> None:
    make_executor("a")
    fail(3, SILENT)
    make_executor("b", max_concurrency=2)
    Executor.objects.filter(pk="a").update(paused_until=timezone.now() - timedelta(seconds=1))
    stale = executors.route(NODE)
    assert [row.pk for row in stale.usable] == ["b", "a"]
    Lease.objects.create(executor_id="a", holder="waiting", place=1)
    Executor.objects.filter(pk="a").update(paused_until=timezone.now() + timedelta(seconds=60))
    lease = executors.start("waiting", stale)
    assert lease is not None
    assert lease.executor_id == "b", "somebody else has the trial, so it goes where there is room"


def test_a_busy_executor_rests_as_long_as_it_says() -> None:
    make_executor("a")
    fail(1, ProviderBusy("full", retry_after_s=40))
    paused_until = Executor.objects.get().paused_until
    assert paused_until is not None
    assert 35 < (paused_until - timezone.now()).total_seconds() <= 40
    fail(1, ProviderBusy("full", retry_after_s=5))
    assert Executor.objects.get().paused_until == paused_until, "a longer pause is not shortened"
    assert topics() == []


def test_R16_a_probe_finds_a_dead_node_and_its_return() -> None:
    make_executor("a")
    Node.health = Health(is_up=False, message="connection refused")
    executors.probe("a")
    row = Executor.objects.get()
    assert (row.health_status, row.health_message, row.last_heartbeat_at) == ("unhealthy", "connection refused", None)
    assert not executors.route(NODE).usable
    executors.probe("a")
    assert topics() == ["executor.down"], "told once"
    Executor.objects.update(failures_in_row=5, paused_until=timezone.now() + timedelta(hours=1))
    Node.health = Health(is_up=True, queue_running=2, queue_pending=3)
    executors.probe("a")
    row = Executor.objects.get()
    assert (row.health_status, row.failures_in_row, row.paused_until) == ("healthy", 0, None)
    assert (row.queue_running, row.queue_pending, row.foreign_load) == (2, 3, 5)
    assert row.last_heartbeat_at is not None
    assert topics() == ["executor.down", "executor.up"]


def test_a_probe_does_not_count_our_own_work_as_foreign() -> None:
    row = make_executor("a", max_concurrency=2)
    for number in (1, 2):
        Lease.objects.create(executor=row, holder=f"t{number}", place=number, slot=number)
    Node.health = Health(is_up=True, queue_running=1, queue_pending=2)
    executors.probe("a")
    assert Executor.objects.get().foreign_load == 1


def test_work_of_others_counts_against_the_limit() -> None:
    make_executor("a", queue_limit=3, foreign_load=2)
    assert executors.reserve(executors.route(NODE), holder="t1") is not None
    with pytest.raises(NodeQueueFull) as caught:
        executors.reserve(executors.route(NODE), holder="t2")
    assert (caught.value.limit, caught.value.current) == (3, 3)


def test_a_probe_changes_no_setting_and_no_version_of_the_row() -> None:
    before = make_executor("a").updated_at
    executors.probe("a")
    assert Executor.objects.get().updated_at == before


def test_due_probes_are_given_out_once() -> None:
    make_executor("a")
    make_executor("b", next_probe_at=timezone.now() + timedelta(hours=1))
    make_executor("off", status="inactive")
    now = timezone.now()
    assert [row.pk for row in executors.probe_due(now, 10)] == ["a"]
    assert executors.probe_due(now, 10) == []


def test_an_unreachable_node_is_probed_at_once() -> None:
    make_executor("a", next_probe_at=timezone.now() + timedelta(hours=1))
    fail(1)
    assert [row.pk for row in executors.probe_due(timezone.now(), 10)] == ["a"]


def account(**links: int) -> Executor:
    row = make_executor("acc", type="testaccount")
    for key_id, priority in links.items():
        ExecutorApiKey.objects.create(executor=row, api_key_id=key_id, priority=priority)
    return row


def test_keys_go_by_link_priority_then_uses_then_id() -> None:
    make_key("loose", usage_count=0)
    make_key("k1", usage_count=5)
    make_key("k2", usage_count=1)
    make_key("k3", usage_count=1)
    row = account(k1=0, k2=1, k3=1)
    assert connect_key(row) == "k1"
    ApiKey.objects.filter(pk="k1").update(status="inactive")
    assert connect_key(row) == "k2"
    ApiKey.objects.filter(pk="k2").update(usage_count=9)
    assert connect_key(row) == "k3"
    ApiKey.objects.filter(pk__in=["k2", "k3"]).update(status="inactive")
    assert connect_key(row) == "loose"


def connect_key(row: Executor) -> str | None:
    key = executors.connect(row.type, Executor.objects.get(pk=row.pk)).api_key
    return key.pk if key else None


def test_a_key_of_another_provider_is_never_used() -> None:
    make_key("foreign", provider="testnode")
    with pytest.raises(ApiKeyUnavailable):
        connect_key(account(foreign=0))


def test_too_many_requests_rest_the_key_and_the_next_one_serves() -> None:
    make_key("k1")
    make_key("k2")
    row = account(k1=0, k2=1)
    connection = executors.connect("testaccount", row)
    executors.note_failure(connection, ProviderBusy("429"))
    key = ApiKey.objects.get(pk="k1")
    assert key.cooldown_reason == "rate_limited"
    assert key.cooldown_until is not None
    assert 110 < (key.cooldown_until - timezone.now()).total_seconds() <= 120
    assert Executor.objects.get(pk="acc").paused_until is None
    assert connect_key(row) == "k2"
    executors.note_failure(executors.connect("testaccount", row), ProviderBusy("429", retry_after_s=30))
    with pytest.raises(ApiKeyUnavailable) as caught:
        connect_key(row)
    assert caught.value.retry_after_s == pytest.approx(30, abs=2)


def test_a_refused_key_is_set_aside_and_told_once_without_its_text() -> None:
    make_key("k1")
    row = account(k1=0)
    connection = executors.connect("testaccount", row)
    executors.note_failure(connection, ProviderRefusedKey("invalid key", code="KIE_401"))
    executors.note_failure(connection, ProviderRefusedKey("invalid key", code="KIE_401"))
    key = ApiKey.objects.get()
    assert (key.status, key.cooldown_reason) == ("exhausted", "KIE_401")
    assert topics() == ["executor.key_refused"]
    payload = Event.objects.get().payload
    assert payload["lastFour"] == "k1"
    assert "invented-k1" not in str(payload)
    with pytest.raises(ApiKeyUnavailable) as caught:
        connect_key(row)
    assert caught.value.retry_after_s is None


def test_an_expired_key_is_not_used() -> None:
    make_key("old", expire_at=timezone.now() - timedelta(seconds=1))
    make_key("new", expire_at=timezone.now() + timedelta(days=1))
    assert connect_key(account(old=0, new=1)) == "new"


def test_R20_a_daily_quota_holds_and_comes_back_the_next_day() -> None:
    make_key("k1", daily_quota=2)
    row = account(k1=0)
    for _ in range(2):
        executors.note_success(executors.connect("testaccount", row))
    key = ApiKey.objects.get()
    assert (key.usage_count, key.used_today) == (2, 2)
    assert key.last_used_at is not None
    with pytest.raises(ApiKeyUnavailable) as caught:
        connect_key(row)
    assert caught.value.retry_after_s is not None
    ApiKey.objects.update(usage_day=timezone.now().date() - timedelta(days=1))
    assert connect_key(row) == "k1"
    executors.note_success(executors.connect("testaccount", row))
    key = ApiKey.objects.get()
    assert (key.usage_count, key.used_today) == (3, 1)


def test_polls_and_cancels_are_no_uses() -> None:
    make_key("k1")
    executors.note_success(executors.connect("testaccount", account(k1=0)), is_use=False)
    assert ApiKey.objects.get().usage_count == 0


def test_work_is_asked_for_with_the_key_it_was_sent_with_even_while_that_rests() -> None:
    make_key("k1", cooldown_until=timezone.now() + timedelta(hours=1))
    make_key("k2")
    row = account(k1=0, k2=1)
    connection = executors.connect("testaccount", row, api_key_id="k1")
    assert connection.provider.endpoint.secrets["api_key"] == "invented-k1"
    with pytest.raises(ApiKeyNotFound):
        executors.connect("testaccount", row, api_key_id="none")


def test_the_executors_own_secret_is_the_last_resort() -> None:
    row = make_executor("acc", type="testaccount", secrets={"api_key": "invented-own"})
    connection = executors.connect("testaccount", row)
    assert connection.api_key is None
    assert connection.provider.endpoint.secrets == {"api_key": "invented-own"}


def test_an_adapter_is_kept_until_its_settings_change(django_assert_num_queries: Any) -> None:
    make_executor("a")
    row = executors.route(NODE).candidates[0]
    first = executors.connect("testnode", row).provider
    again = executors.route(NODE).candidates[0]
    with django_assert_num_queries(0):
        assert executors.connect("testnode", again).provider is first
    changed = Executor.objects.get()
    changed.base_url = "http://elsewhere.invalid"
    changed.save()
    other = executors.connect("testnode", executors.route(NODE).candidates[0]).provider
    assert other is not first
    assert other.endpoint.base_url == "http://elsewhere.invalid"


@pytest.mark.parametrize(
    ("column", "config", "expected"),
    [
        ("http://column/", {"baseUrl": "http://camel"}, "http://column"),
        ("", {"baseUrl": "http://camel/", "base_url": "http://snake"}, "http://camel"),
        ("", {"base_url": "http://snake"}, "http://snake"),
        ("", {}, ""),
    ],
)
def test_the_address_is_column_then_config(column: str, config: dict[str, str], expected: str) -> None:
    row = make_executor("a", base_url=column, config=config)
    assert executors.connect("testnode", row).provider.endpoint.base_url == expected


def test_dead_leases_are_swept_and_living_ones_stay() -> None:
    row = make_executor("a")
    for number, name in enumerate(("dead", "alive", "young"), start=1):
        Lease.objects.create(executor=row, holder=name, place=number)
    Lease.objects.exclude(holder="young").update(taken_at=timezone.now() - timedelta(hours=1))
    asked: list[str] = []

    def live(holders: Any) -> set[str]:
        asked.extend(holders)
        return {"alive"}

    assert executors.sweep_leases(live) == 1
    assert asked == ["dead", "alive"]
    assert set(Lease.objects.values_list("holder", flat=True)) == {"alive", "young"}


def test_a_key_is_not_in_the_text_of_a_connection() -> None:
    make_key("k1")
    connection = executors.connect("testaccount", account(k1=0))
    assert "invented-k1" not in repr(connection)
    assert isinstance(connection.provider, Account)
