"""Places, slots and fairness: what admission and the runner rely on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from executors import services as executors
from executors.errors import CommercialQueueFull, ExecutorNotConfigured, NodeQueueFull
from executors.models import Executor, Lease
from executors.services import Need
from tests.executors.factories import make_executor, make_key

NODE = Need(provider="testnode")


def run_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """Run `work(i)` in so many threads at once; an exception is a result."""
    results: list[object] = [None] * count
    barrier = threading.Barrier(count)

    def call(index: int) -> None:
        barrier.wait()
        try:
            results[index] = work(index)
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def admit(index: int, need: Need = NODE) -> str:
    with transaction.atomic():
        lease = executors.reserve(executors.route(need), holder=f"task{index}")
        assert lease is not None
        return lease.executor_id


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("asked", ["", "a"])
def test_R18_of_thirty_concurrent_submits_exactly_ten_get_a_place(asked: str) -> None:
    make_executor("a")
    results = run_threads(30, lambda i: admit(i, Need(provider="testnode", asked_executor_id=asked)))
    refused = [result for result in results if isinstance(result, NodeQueueFull)]
    assert results.count("a") == 10
    assert len(refused) == 20
    assert Lease.objects.count() == 10
    assert sorted(Lease.objects.values_list("place", flat=True)) == list(range(1, 11))


@pytest.mark.django_db(transaction=True)
def test_R15_two_equal_nodes_share_twelve_concurrent_tasks_six_to_six() -> None:
    make_executor("a")
    make_executor("b")
    assert Counter(run_threads(12, admit)) == {"a": 6, "b": 6}


@pytest.mark.django_db(transaction=True)
def test_slots_are_the_same_for_every_process() -> None:
    make_executor("a", max_concurrency=3)
    for i in range(8):
        admit(i)
    results = run_threads(8, lambda i: executors.start(f"task{i}", executors.route(NODE)))
    assert sum(isinstance(result, Lease) for result in results) == 3
    assert results.count(None) == 5
    assert sorted(Lease.objects.exclude(slot=None).values_list("slot", flat=True)) == [1, 2, 3]


@pytest.mark.django_db
def test_a_full_queue_says_limit_and_current() -> None:
    make_executor("a", queue_limit=2)
    admit(1)
    admit(2)
    with pytest.raises(NodeQueueFull) as caught:
        executors.reserve(executors.route(NODE), holder="task3")
    error = caught.value
    assert error.detail == error.err_text == "ERR|Q1001|COMFYUI_QUEUE_FULL(limit=2, current=2)"
    assert (error.status, error.retryable, error.retry_after_s) == (429, True, 5.0)
    assert error.details == {"limit": 2, "current": 2, "executorId": "a"}
    assert Lease.objects.count() == 2


@pytest.mark.django_db
def test_a_full_account_is_Q2001() -> None:
    make_executor("acc", type="testaccount", queue_limit=1)
    make_key("k1")
    need = Need(provider="testaccount")
    admit(1, need)
    with pytest.raises(CommercialQueueFull) as caught:
        admit(2, need)
    assert caught.value.detail == "ERR|Q2001|COMMERCIAL_QUEUE_FULL(limit=1, current=1)"


@pytest.mark.django_db
def test_reserving_twice_gives_the_same_lease() -> None:
    make_executor("a", queue_limit=1)
    first = executors.reserve(executors.route(NODE), holder="t")
    again = executors.reserve(executors.route(NODE), holder="t")
    assert first is not None
    assert again == first
    assert Lease.objects.count() == 1


@pytest.mark.django_db
def test_park_keeps_the_place_and_free_gives_it_back_however_often() -> None:
    make_executor("a")
    admit(1)
    lease = executors.start("task1", executors.route(NODE))
    assert lease is not None
    assert lease.slot == 1
    executors.park("task1")
    parked = Lease.objects.get()
    assert (parked.slot, parked.place, parked.started_at) == (None, 1, None)
    executors.free("task1")
    executors.free("task1")
    assert not Lease.objects.exists()


@pytest.mark.django_db
def test_a_waiting_task_moves_to_a_node_that_has_nothing_to_do() -> None:
    make_executor("a")
    make_executor("b", is_draining=True)
    admit(1)
    admit(2)
    assert executors.start("task1", executors.route(NODE)) is not None
    assert executors.start("task2", executors.route(NODE)) is None
    Executor.objects.filter(pk="b").update(is_draining=False)
    moved = executors.start("task2", executors.route(NODE))
    assert moved is not None
    assert (moved.executor_id, moved.executor.pk, moved.slot) == ("b", "b", 1)
    assert Lease.objects.get(holder="task2").executor_id == "b"


@pytest.mark.django_db
def test_a_task_does_not_take_the_slot_another_task_waits_for() -> None:
    make_executor("a")
    make_executor("b")
    for i in range(4):
        admit(i)
    on_a = list(Lease.objects.filter(executor_id="a").order_by("pk").values_list("holder", flat=True))
    assert len(on_a) == 2
    assert executors.start(on_a[0], executors.route(NODE)) is not None
    assert executors.start(on_a[1], executors.route(NODE)) is None, "b's slot belongs to b's own waiting tasks"


@pytest.mark.django_db
def test_starting_again_after_a_crash_gives_the_slot_already_held() -> None:
    make_executor("a")
    admit(1)
    first = executors.start("task1", executors.route(NODE))
    again = executors.start("task1", executors.route(NODE))
    assert first is not None
    assert again == first
    assert Lease.objects.count() == 1


@pytest.mark.django_db
def test_start_without_a_place_takes_both() -> None:
    make_executor("a", max_concurrency=2)
    lease = executors.start("late", executors.route(NODE))
    assert lease is not None
    assert (lease.place, lease.slot) == (1, 1)


@pytest.mark.django_db
def test_position_and_wait_are_told() -> None:
    make_executor("a", max_concurrency=2)
    for i in range(3):
        admit(i)
    executors.start("task0", executors.route(NODE))
    running, waiting = executors.position("task0"), executors.position("task2", typical_s=10)
    assert running is not None
    assert (running.position, running.ahead) == (0, 0)
    assert waiting is not None
    assert (waiting.position, waiting.ahead, waiting.eta_s) == (2, 1, 10.0)
    assert executors.position("nobody") is None


@pytest.mark.django_db
def test_a_kind_that_runs_in_process_has_nothing_to_reserve() -> None:
    route = executors.route(Need(provider="testlocal"))
    assert route.candidates == ()
    assert executors.reserve(route, holder="t") is None
    with pytest.raises(ExecutorNotConfigured):
        executors.start("t", route)
    assert not Lease.objects.exists()


@pytest.mark.django_db
def test_R3_a_node_full_of_slow_work_holds_up_nobody_elses() -> None:
    """R3: capacity belongs to the executor, and waiting costs a row, no thread."""
    make_executor("slow")
    make_executor("acc", type="testaccount", max_concurrency=2)
    make_key("k1")
    for number in range(10):
        admit(number)
        executors.start(f"task{number}", executors.route(NODE))
    quick = Need(provider="testaccount")
    admit(99, quick)
    assert executors.start("task99", executors.route(quick)) is not None
