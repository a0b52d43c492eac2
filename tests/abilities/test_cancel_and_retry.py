"""A wish to stop, at every step of a task, and trying again afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from abilities import attempts, errors, lifecycle, runner, services
from abilities.models import Invocation, Task
from executors import registry
from executors.models import Executor, Lease
from executors.providers.base import Phase, ProviderSilent, ProviderUnreachable, Report
from podi.base.models import User
from tests.abilities.conftest import png
from tests.abilities.rig import NamedRig, Rig, accepted, picture, succeeded
from tests.abilities.stage import create, fresh, kill_holder, let_pass, make_ability, make_executor, pass_deadline, turn
from tests.flows.driver import work_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rigs")]


@pytest.fixture
def polling() -> Iterator[runner.Polling]:
    found = runner.Polling()
    yield found
    found.close()


def cancel(user: User, task: Task) -> Task:
    return services.cancel_task(user, services.find_task(user, task.pk))


def assert_cancelled(task: Task) -> None:
    assert fresh(task).state == "cancelled"
    assert not task.invocations.exclude(status="cancelled").exists()
    assert not task.invocations.exclude(step="closed").exists()
    assert not Lease.objects.exists()


def test_R7_cancel_while_queued_takes_effect_at_once_and_is_repeatable(user: User) -> None:
    make_executor()
    task = create(user, make_ability())
    assert cancel(user, task).state == "cancelled"
    assert cancel(user, task).state == "cancelled"
    work_off()
    assert not Rig.orders
    assert_cancelled(task)


def test_cancel_while_the_work_is_being_sent_reaches_the_provider_afterwards(user: User) -> None:
    make_executor()
    task = create(user, make_ability())

    def send(_order: Any) -> Report:
        assert cancel(user, task).state == "running"
        runner.cancel(task.pk)  # too early: nobody has it yet
        assert not Rig.cancelled
        return accepted()

    Rig.script[:] = [send]
    turn()
    assert Rig.cancelled == ["ref-1"]
    assert_cancelled(task)


def test_cancel_while_an_attempt_fails_wins_over_the_next_attempt(user: User) -> None:
    make_executor()
    task = create(user, make_ability())

    def send(_order: Any) -> Report:
        cancel(user, task)
        raise ProviderUnreachable("connection refused")

    Rig.script[:] = [send]
    work_off()
    assert len(Rig.orders) == 1
    assert_cancelled(task)


def test_cancel_of_work_in_our_own_process_throws_the_result_away(user: User) -> None:
    task = create(user, make_ability("ownrig"))

    def work(_order: Any) -> Report:
        assert cancel(user, task).state == "running"
        return succeeded(picture("done", png()))

    Rig.script[:] = [work]
    turn()
    assert_cancelled(task)


def test_a_result_that_was_paid_for_comes_before_a_late_wish_to_cancel(user: User, polling: runner.Polling) -> None:
    make_executor()
    Rig.script[:] = [accepted()]
    task = create(user, make_ability())
    work_off()
    Rig.reports["ref-1"] = succeeded(picture("done", png()))
    let_pass()
    polling.step()
    for done in list(polling._open.values()):
        done.future.result(timeout=5)
    polling.step()
    assert Invocation.objects.get().step == "collecting"
    cancel(user, task)
    turn(polling)
    assert fresh(task).state == "succeeded"
    assert not Rig.cancelled


def test_a_lost_ring_for_a_cancel_is_made_good_by_the_sweep(user: User) -> None:
    make_executor()
    Rig.script[:] = [accepted()]
    task = create(user, make_ability())
    work_off()
    Task.objects.filter(pk=task.pk).update(cancel_requested_at=timezone.now() - timedelta(seconds=30), rung_at=None)
    turn()
    assert Rig.cancelled == ["ref-1"]
    assert_cancelled(task)


def test_a_cancel_survives_the_process_that_was_sending(user: User, polling: runner.Polling) -> None:
    executor = make_executor(kind="namedrig")
    task = create(user, make_ability("namedrig"))
    claimed = fresh(task)
    invocation = attempts.new_invocation(claimed, provider=NamedRig, executor=executor)
    assert lifecycle.claim(claimed, invocation)
    cancel(user, task)
    work_off()
    Rig.reports[invocation.ref] = Report(phase=Phase.RUNNING, ref=invocation.ref)
    kill_holder(invocation)
    turn(polling)
    assert Rig.cancelled == [invocation.ref]
    assert_cancelled(task)


def test_a_provider_that_stops_work_nobody_wanted_stopped_has_failed(user: User, polling: runner.Polling) -> None:
    make_executor()
    Rig.script[:] = [accepted()]
    task = create(user, make_ability())
    work_off()
    Rig.reports["ref-1"] = Report(phase=Phase.CANCELLED, ref="ref-1", message="stopped at the node")
    let_pass()
    turn(polling)
    assert (fresh(task).state, fresh(task).error_code) == ("failed", "PROVIDER_CANCELLED")


def test_what_cannot_be_stopped_says_so_and_runs_on(user: User) -> None:
    class Unstoppable(Rig):
        kind = "rig"
        can_cancel = False

    make_executor()
    Rig.script[:] = [accepted()]
    task = create(user, make_ability())
    work_off()
    registry._PROVIDERS["rig"] = Unstoppable
    with pytest.raises(errors.TaskNotCancellable):
        cancel(user, task)
    assert fresh(task).cancel_requested_at is None
    pass_deadline(task)
    turn()
    with pytest.raises(errors.TaskNotCancellable):
        cancel(user, task)


def test_R7_a_retry_is_a_new_task_with_the_old_inputs_and_names_the_old_one(user: User, operator: User) -> None:
    make_executor()
    Rig.script[:] = [ProviderSilent("timeout"), accepted("ref-2")]
    task = create(user, make_ability(), priority=4)
    turn()
    assert fresh(task).state == "failed"
    once = services.Once(key="again", fingerprint="f")
    again = services.retry_task(operator, fresh(task), once=once).task
    assert services.retry_task(operator, fresh(task), once=once).task.pk == again.pk
    assert (again.retry_of_id, again.owner_id, again.priority, again.inputs) == (task.pk, user.pk, 4, task.inputs)
    assert again.request_id != task.request_id
    turn()
    assert fresh(again).state == "running"
    assert fresh(task).state == "failed"
    with pytest.raises(errors.TaskNotRetryable):
        services.retry_task(user, fresh(again))
    assert Task.objects.count() == 2


def test_a_pinned_version_runs_and_routes_as_it_was_frozen(user: User) -> None:
    """v1 stays v1 after v2 is published, for new calls that pin it and for tasks that wait already."""
    make_executor("rig_old")
    make_executor("rig_new")
    ability = make_ability(executor_id="rig_old", metadata={"action": "paint-v1", "outputs": {"images": 1}})
    waiting = create(user, ability)
    services.update_ability(
        None,
        ability,
        executor_id="rig_new",
        metadata={"action": "paint-v2", "outputs": {"images": 1}},
        input_schema={"fields": [{"name": "subject", "type": "text", "required": True}]},
    )
    assert services.find_ability(ability.pk).version == "v2"
    pinned = create(user, ability, version="v1")
    newest = create(user, ability, inputs={"subject": "a cup"})
    Executor.objects.update(max_concurrency=5)
    Rig.script[:] = [lambda order: accepted(order.task_id)]
    work_off()
    ran = {order.task_id: order.operation for order in Rig.orders}
    assert ran == {waiting.pk: "paint-v1", pinned.pk: "paint-v1", newest.pk: "paint-v2"}
    where = dict(Invocation.objects.values_list("task_id", "executor_id"))
    assert where == {waiting.pk: "rig_old", pinned.pk: "rig_old", newest.pk: "rig_new"}
    assert fresh(pinned).ability_version == "v1"
    with pytest.raises(errors.AbilityVersionNotFound):
        create(user, ability, version="v9")
