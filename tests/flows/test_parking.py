"""Tasks that found no slot: whoever gives one back rings for them, each ring for another one."""

from __future__ import annotations

import pytest
from django_q.brokers import get_broker

from abilities import runner
from abilities.models import Ability, Task
from executors.models import Executor, Lease
from tests.abilities.conftest import Api
from tests.flows.driver import settle, work_off
from tests.flows.test_comfyui_task import create
from tests.simulators.comfyui import ComfyUISimulator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def line(api: Api, invert: Ability, executor: Executor, node: ComfyUISimulator) -> list[str]:
    """Two tasks that run and four that wait for them, in this order."""
    Executor.objects.filter(pk=executor.pk).update(max_concurrency=2)
    node.worker.holds_jobs = True
    tasks = [create(api, invert) for _ in range(6)]
    work_off()
    return tasks


def test_who_finds_no_slot_is_parked_and_not_sent(line: list[str], node: ComfyUISimulator) -> None:
    parked = Task.objects.filter(is_parked=True)
    assert set(parked.values_list("pk", flat=True)) == set(line[2:])
    assert not parked.exclude(state="queued").exists()
    assert len(node.requests_to("POST", "/prompt")) == 2
    assert get_broker().queue_size() == 0


def test_two_ends_ring_for_the_two_that_came_first(
    api: Api, line: list[str], node: ComfyUISimulator, polling: runner.Polling
) -> None:
    for task_id in line[:2]:
        Task.objects.filter(pk=task_id).update(cancel_requested_at="2026-01-01T00:00:00Z")
        runner.cancel(task_id)
    assert Task.objects.filter(state="cancelled").count() == 2
    assert set(Task.objects.filter(is_parked=True).values_list("pk", flat=True)) == set(line[4:])
    node.worker.holds_jobs = False
    assert {settle(task_id, polling=polling).state for task_id in line[2:]} == {"succeeded"}
    assert len(node.requests_to("POST", "/prompt")) == 6
    assert not Task.objects.filter(is_parked=True).exists()
    assert not Lease.objects.exists()


def test_R30_the_sweep_looks_at_a_few_of_a_long_line(line: list[str]) -> None:
    ability_id = Task.objects.get(pk=line[0]).ability_id
    model = Task.objects.get(pk=line[2])
    Task.objects.bulk_create(
        Task(
            ability_id=ability_id,
            provider="comfyui",
            owner_id=model.owner_id,
            is_parked=True,
            deadline_at=model.deadline_at,
            created_at=model.created_at,
        )
        for _ in range(30)
    )
    assert runner.sweep() == 10
    assert get_broker().queue_size() == 10


def test_nobody_is_rung_where_nobody_waits(
    api: Api, invert: Ability, executor: Executor, polling: runner.Polling
) -> None:
    work_off()  # what other tests may have left in a shared broker
    task_id = create(api, invert)
    assert get_broker().queue_size() == 1
    assert settle(task_id, polling=polling).state == "succeeded"
    assert get_broker().queue_size() == 0
