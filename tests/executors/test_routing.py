"""The rules of contract 5.2, one by one, and the policies."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from executors import services as executors
from executors.errors import (
    ExecutorInactive,
    ExecutorNotConfigured,
    ExecutorNotFound,
    ExecutorNotMatched,
    ExecutorTypeMismatch,
    ProviderKindUnsupported,
)
from executors.models import Executor, Lease, Workflow, WorkflowBinding
from executors.services import Need, Route
from podi.base.errors import PodiError
from tests.executors.factories import make_executor, make_key

pytestmark = pytest.mark.django_db


def route(**changes: Any) -> Route:
    return executors.route(Need(**{"provider": "testnode", **changes}))


def ids(rows: tuple[Executor, ...]) -> list[str]:
    return [row.pk for row in rows]


def bind(executor: str, *, action: str = "act", priority: int = 0, workflow: str = "w", enabled: bool = True) -> None:
    Workflow.objects.get_or_create(pk=workflow, defaults={"action": action, "name": workflow})
    WorkflowBinding.objects.create(
        action=action, workflow_id=workflow, executor_id=executor, priority=priority, enabled=enabled
    )


def test_the_asked_executor_wins_over_everything() -> None:
    make_executor("a")
    make_executor("b")
    found = route(asked_executor_id="a", bound_executor_id="b", allowed_executor_ids=("b",))
    assert ids(found.candidates) == ["a"]
    assert found.explanation["source"] == "asked"


@pytest.mark.parametrize(
    ("asked", "error", "detail", "status"),
    [
        ("none", ExecutorNotFound, "EXECUTOR_NOT_FOUND", 404),
        ("acc", ExecutorTypeMismatch, "EXECUTOR_TYPE_NOT_TESTNODE", 400),
        ("off", ExecutorInactive, "EXECUTOR_INACTIVE", 400),
    ],
)
def test_an_asked_executor_that_cannot_serve_is_refused(
    asked: str, error: type[PodiError], detail: str, status: int
) -> None:
    make_executor("a")
    make_executor("acc", type="testaccount")
    make_executor("off", status="inactive")
    with pytest.raises(error) as caught:
        route(asked_executor_id=asked)
    assert (caught.value.detail, caught.value.status) == (detail, status)


def test_an_asked_executor_outside_a_strict_list_is_refused() -> None:
    make_executor("a")
    make_executor("b")
    assert ids(route(asked_executor_id="a", allowed_executor_ids=("b",)).candidates) == ["a"]
    with pytest.raises(ExecutorNotMatched):
        route(asked_executor_id="a", allowed_executor_ids=("b",), fallback_to_default=False)


def test_the_abilitys_own_executor_comes_second() -> None:
    make_executor("a")
    make_executor("b")
    assert ids(route(bound_executor_id="b").candidates) == ["b"]
    Executor.objects.filter(pk="b").update(status="inactive")
    with pytest.raises(ExecutorInactive):
        route(bound_executor_id="b")


def test_the_forced_node_of_the_environment(settings: Any) -> None:
    make_executor("a")
    make_executor("b")
    settings.COMFYUI_DEFAULT_EXECUTOR_ID = "b"
    assert ids(route(allowed_executor_ids=("a",)).candidates) == ["b"]
    Executor.objects.filter(pk="b").update(status="inactive")
    assert ids(route(allowed_executor_ids=("a",)).candidates) == ["a"]


def test_allowed_executors_are_filtered_by_state_and_tags() -> None:
    make_executor("a", config={"tags": "GPU; big"})
    make_executor("b", config={"tag": ["gpu"]})
    make_executor("c", config={"tags": ["gpu", "big"]}, status="inactive")
    found = route(allowed_executor_ids=("c", "b", "a"), required_tags=("Big",))
    assert ids(found.candidates) == ["a"]
    assert {row["id"]: row["reason"] for row in found.explanation["leftOut"]} == {
        "c": "unknown_or_inactive",
        "b": "tags_missing",
    }


def test_nothing_allowed_fits() -> None:
    make_executor("a")
    make_executor("other")
    wanted = {"allowed_executor_ids": ("a",), "required_tags": ("gpu",)}
    with pytest.raises(ExecutorNotMatched) as caught:
        route(**wanted, fallback_to_default=False)
    assert (caught.value.detail, caught.value.status) == ("COMFYUI_EXECUTOR_NOT_MATCHED", 400)
    assert ids(route(allowed_executor_ids=("none",), policy="fixed").candidates) == ["a", "other"]


def test_bindings_of_the_highest_priority_that_has_somebody() -> None:
    for name in ("a", "b", "c", "d"):
        make_executor(name)
    bind("a", priority=1)
    bind("b", priority=5)
    bind("c", priority=5)
    bind("d", priority=9, enabled=False)
    assert set(ids(route(action="act").candidates)) == {"b", "c"}
    Executor.objects.filter(pk__in=["b", "c"]).update(status="inactive")
    assert ids(route(action="act").candidates) == ["a"]


def test_without_an_action_the_generic_bindings_hold() -> None:
    make_executor("a")
    make_executor("b")
    bind("b", action="generic")
    assert ids(route().candidates) == ["b"]


def test_a_binding_of_another_workflow_does_not_speak_for_this_one() -> None:
    make_executor("a")
    make_executor("b")
    bind("b", workflow="other")
    assert set(ids(route(action="act", workflow_id="mine").candidates)) == {"a", "b"}


def test_nobody_at_all() -> None:
    make_executor("off", status="inactive")
    with pytest.raises(ExecutorNotConfigured) as caught:
        route()
    assert (caught.value.detail, caught.value.status) == ("ABILITY_EXECUTOR_NOT_CONFIGURED", 400)
    with pytest.raises(ProviderKindUnsupported) as unknown:
        route(provider="mock")
    assert unknown.value.detail == "ABILITY_PROVIDER_UNSUPPORTED:mock"


def test_R17_a_node_that_lacks_something_is_not_asked_and_the_gap_is_named() -> None:
    make_executor("a", gaps={"w": {"nodes": ["FancyNode"]}})
    make_executor("b")
    found = route(workflow_id="w")
    assert ids(found.candidates) == ["b"]
    assert found.explanation["leftOut"] == [{"id": "a", "reason": "lacks_requirements"}]
    with pytest.raises(ExecutorNotMatched) as caught:
        route(workflow_id="w", asked_executor_id="a")
    assert caught.value.details["missing"] == {"a": {"nodes": ["FancyNode"]}}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"is_draining": True}, "draining"),
        ({"paused_until": timezone.now() + timedelta(hours=1)}, "paused"),
        ({"paused_until": timezone.now() + timedelta(hours=1), "failures_in_row": 3}, "breaker_open"),
        ({"health_status": "unhealthy", "probed_at": timezone.now()}, "unhealthy"),
    ],
)
def test_R16_an_executor_that_cannot_work_gets_nothing(state: dict[str, Any], reason: str) -> None:
    make_executor("bad", **state)
    make_executor("good")
    found = route()
    assert ids(found.usable) == ["good"]
    assert next(row for row in found.explanation["candidates"] if row["id"] == "bad")["blocked"] == reason
    for number in range(8):
        lease = executors.reserve(executors.route(Need(provider="testnode")), holder=f"t{number}")
        assert lease is not None
        assert lease.executor_id == "good"


def test_while_nobody_works_tasks_wait_in_the_queue() -> None:
    make_executor("bad", health_status="unhealthy", probed_at=timezone.now())
    found = route()
    assert executors.reserve(found, holder="t") is not None
    assert executors.start("t", found) is None
    Executor.objects.update(health_status="healthy")
    assert executors.start("t", route()) is not None


def test_an_old_verdict_is_no_longer_believed() -> None:
    make_executor("a", health_status="unhealthy", probed_at=timezone.now() - timedelta(hours=1))
    assert ids(route().usable) == ["a"]


def test_an_avoided_executor_is_used_only_when_it_is_the_last() -> None:
    make_executor("a")
    make_executor("b")
    assert ids(route(avoided_executor_ids=("a",)).usable) == ["b"]
    assert set(ids(route(avoided_executor_ids=("a", "b")).usable)) == {"a", "b"}


def test_an_account_without_a_usable_key_is_not_usable() -> None:
    make_executor("acc", type="testaccount")
    make_executor("own", type="testaccount", secrets={"api_key": "invented-own-key"})
    found = executors.route(Need(provider="testaccount"))
    assert ids(found.usable) == ["own"]
    make_key("k")
    assert set(ids(executors.route(Need(provider="testaccount")).usable)) == {"acc", "own"}


def take(executor_id: str, count: int) -> None:
    for number in range(count):
        Lease.objects.create(executor_id=executor_id, holder=f"{executor_id}{number}", place=number + 1)


def test_auto_is_least_loaded_in_proportion_to_what_each_can_carry() -> None:
    make_executor("small", max_concurrency=1)
    make_executor("big", max_concurrency=4)
    take("big", 2)
    assert ids(route().usable)[0] == "big"
    take("small", 0)
    Executor.objects.filter(pk="big").update(foreign_load=3)
    assert ids(route().usable)[0] == "small"


def test_auto_fills_by_weight() -> None:
    make_executor("light", weight=1, queue_limit=100)
    make_executor("heavy", weight=3, queue_limit=100)
    taken = Counter()
    for number in range(40):
        lease = executors.reserve(route(), holder=f"t{number}")
        assert lease is not None
        taken[lease.executor_id] += 1
    assert taken == {"heavy": 30, "light": 10}


def test_fixed_keeps_the_lists_order() -> None:
    make_executor("a")
    make_executor("b")
    take("b", 3)
    assert ids(route(policy="fixed", allowed_executor_ids=("b", "a")).usable) == ["b", "a"]


def test_queue_takes_the_shortest_and_prefers_those_below_the_batch(settings: Any) -> None:
    settings.COMFYUI_QUEUE_BATCH_SIZE = 3
    for name in ("a", "b", "c"):
        make_executor(name, max_concurrency=20)
    take("a", 2)
    take("b", 1)
    Executor.objects.filter(pk="c").update(foreign_load=1)
    assert ids(route(policy="queue").usable) == ["b", "c", "a"]
    settings.COMFYUI_ROUTE_BY_QUEUE = True
    assert route().policy == "queue"


def test_weight_draws_in_proportion_and_counts_nonpositive_as_one() -> None:
    make_executor("a", weight=0)
    make_executor("b", weight=9)
    first = Counter(ids(route(policy="weight").usable)[0] for _ in range(200))
    assert first["b"] > 140
    assert first["a"] > 2


def test_R20_round_robin_goes_on_where_any_process_left_off() -> None:
    for name in ("a", "b", "c"):
        make_executor(name)
    order = []
    for number in range(6):
        lease = executors.reserve(route(policy="round_robin"), holder=f"t{number}")
        assert lease is not None
        order.append(lease.executor_id)
    assert order == ["a", "b", "c", "a", "b", "c"]
    assert route(policy="round_robin").candidates, "asking does not move the cursor"
    lease = executors.reserve(route(policy="round_robin"), holder="last")
    assert lease is not None
    assert lease.executor_id == "a"


def test_an_unknown_policy_counts_as_auto() -> None:
    make_executor("a")
    assert route(policy="by_moon").policy == "auto"


def test_what_routing_admission_and_start_cost(django_assert_num_queries: Any) -> None:
    make_executor("a", queue_limit=100)
    make_executor("b", queue_limit=100)
    need = Need(provider="testnode", allowed_executor_ids=("a", "b"))
    with django_assert_num_queries(2):
        found = executors.route(need)
    with django_assert_num_queries(5):  # turn, loads, insert, and the savepoint around them
        executors.reserve(found, holder="t")
    with django_assert_num_queries(6):  # own lease, turn, loads, update, and the savepoint around them
        executors.start("t", found)
    with django_assert_num_queries(1):
        executors.park("t")
    with django_assert_num_queries(2):
        executors.position("t")
    with django_assert_num_queries(1):
        executors.free("t")
