"""What becomes of a task when providers, nodes, processes and storage misbehave: the table of ARCHITECTURE.md."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from abilities import attempts, lifecycle, runner
from abilities.models import Invocation, Task
from abilities.runner.collect import MAX_STORE_TRIES
from executors import services as executors
from executors.models import Executor, Lease
from executors.providers.base import (
    Phase,
    ProviderBusy,
    ProviderRefusedKey,
    ProviderRejected,
    ProviderSilent,
    ProviderUnintelligible,
    ProviderUnreachable,
    Report,
)
from media.models import Asset
from podi.base.models import User
from podi.events.models import Event
from tests.abilities.conftest import png
from tests.abilities.rig import Rig, accepted, picture, succeeded
from tests.abilities.stage import (
    create,
    fresh,
    kill_holder,
    let_pass,
    make_ability,
    make_executor,
    pass_deadline,
    turn,
)
from tests.flows.driver import work_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rigs")]


@pytest.fixture
def polling() -> Iterator[runner.Polling]:
    found = runner.Polling()
    yield found
    found.close()


def start_waiting(user: User, **ability: Any) -> tuple[Task, Invocation]:
    """A task whose provider has it."""
    make_executor(kind=ability.get("kind", "rig"))
    Rig.script[:] = [lambda order: Report(phase=Phase.ACCEPTED, ref=order.ref or "ref-1")]
    task = create(user, make_ability(**ability))
    work_off()
    invocation = Invocation.objects.get()
    assert (fresh(task).state, invocation.step) == ("running", "waiting")
    return fresh(task), invocation


def assert_closed(task: Task) -> None:
    assert not Lease.objects.filter(holder=task.pk).exists()
    assert not task.invocations.exclude(step="closed").exists()
    assert not task.invocations.filter(status="pending").exists()


# Deadlines


def test_R24_a_task_nobody_took_before_its_deadline_fails_and_gives_its_place_back(user: User) -> None:
    make_executor(is_draining=True)
    task = create(user, make_ability())
    work_off()
    assert (fresh(task).state, fresh(task).attempt) == ("queued", 0)
    pass_deadline(task)
    turn()
    ended = fresh(task)
    assert (ended.state, ended.error_code, ended.is_error_retryable) == ("failed", "TASK_TIMEOUT", True)
    assert not Rig.orders
    assert_closed(task)


def test_R24_work_past_its_deadline_is_stopped_at_the_provider(user: User) -> None:
    task, _ = start_waiting(user)
    pass_deadline(task)
    turn()
    assert fresh(task).error_code == "TASK_TIMEOUT"
    assert Rig.cancelled == ["ref-1"]
    assert_closed(task)


def test_a_provider_that_takes_work_after_the_deadline_is_asked_to_stop(user: User) -> None:
    make_executor()
    task = create(user, make_ability())

    def too_late(_order: Any) -> Report:
        pass_deadline(task)
        runner.sweep()
        return accepted()

    Rig.script[:] = [too_late]
    turn()
    assert fresh(task).error_code == "TASK_TIMEOUT"
    assert Rig.cancelled == ["ref-1"]
    assert_closed(task)


def test_a_result_that_comes_after_the_end_changes_nothing(user: User, polling: runner.Polling) -> None:
    task, invocation = start_waiting(user)
    stale, row = fresh(task), Invocation.objects.get()
    pass_deadline(task)
    turn()
    before = Event.objects.count()
    connection = executors.connect("rig", Executor.objects.get())
    for report in (succeeded(picture("late", png())), Report(phase=Phase.FAILED, code="LATE"), accepted("other")):
        runner.accept(stale, row, report, connection)
        runner.collect(invocation.pk)
    assert fresh(task).error_code == "TASK_TIMEOUT"
    assert Invocation.objects.get().status == "failed"
    assert Event.objects.count() == before
    assert not Asset.objects.exists()


# Who takes no work now


def test_a_busy_provider_costs_no_attempt_and_is_not_asked_again_at_once(user: User) -> None:
    make_executor()
    task = create(user, make_ability())
    Rig.script[:] = [ProviderBusy("full", retry_after_s=1.0)] * 6 + [accepted()]
    for _ in range(6):
        before = timezone.now()
        work_off()
        waiting = fresh(task)
        assert waiting.state == "queued"
        assert waiting.not_before is not None
        assert waiting.not_before - before > timedelta(seconds=0.4)
        let_pass()
        turn()
    assert fresh(task).state == "running"
    assert len(Rig.orders) == 7
    assert fresh(task).avoided_executor_ids == []


def test_R16_while_no_node_answers_a_task_waits_and_runs_when_one_is_back(user: User) -> None:
    make_executor("rig_a")
    make_executor("rig_b")
    task = create(user, make_ability())
    Rig.script[:] = [ProviderUnreachable("connection refused")] * 7 + [accepted()]
    for _ in range(9):
        work_off()
        let_pass()
        Executor.objects.update(health_status="", failures_in_row=0)
        turn()
    assert fresh(task).state == "running"
    assert len(Rig.orders) == 8


def test_the_deadline_ends_a_task_no_node_ever_took_and_its_cause_is_told(user: User) -> None:
    make_executor()
    task = create(user, make_ability())
    Rig.script[:] = [ProviderUnreachable("connection refused")]
    for _ in range(5):
        turn()
        let_pass()
    assert fresh(task).state == "queued"
    pass_deadline(task)
    turn()
    assert fresh(task).error_code == "TASK_TIMEOUT"
    assert "PROVIDER_UNREACHABLE" in fresh(task).error_message
    assert_closed(task)


@pytest.mark.parametrize("change", [{"status": "inactive"}, {"is_draining": True}, {"type": "namedrig"}])
def test_a_task_whose_node_was_switched_off_waits_for_it_to_come_back(user: User, change: dict[str, Any]) -> None:
    node = make_executor()
    task = create(user, make_ability())
    Executor.objects.filter(pk=node.pk).update(**change)
    Rig.script[:] = [accepted()]
    turn()
    assert (fresh(task).state, fresh(task).attempt) == ("queued", 0)
    Executor.objects.filter(pk=node.pk).update(status="active", is_draining=False, type="rig")
    let_pass()
    turn()
    assert fresh(task).state == "running"


def test_R7_a_refused_key_is_tried_elsewhere_and_rejected_input_is_not_tried_again(user: User) -> None:
    make_executor("rig_a")
    make_executor("rig_b")
    ability = make_ability()
    Rig.script[:] = [ProviderRefusedKey("wrong key"), accepted()]
    task = create(user, ability)
    turn()
    let_pass(task)
    turn()
    first, second = task.invocations.order_by("attempt")
    assert first.executor_id != second.executor_id
    Rig.script[:] = [ProviderRejected("blood on the picture", code="MODERATED")]
    Rig.orders.clear()
    other = create(user, ability)
    let_pass()
    turn()
    assert (fresh(other).state, fresh(other).error_code) == ("failed", "MODERATED")
    assert len(Rig.orders) == 1
    assert_closed(other)


@pytest.mark.parametrize("error", [ProviderSilent("timeout"), ProviderUnintelligible("<html>")])
def test_R1_R7_work_that_may_have_been_taken_is_never_sent_twice(user: User, error: Any) -> None:
    make_executor()
    task = create(user, make_ability())
    Rig.script[:] = [error]
    for _ in range(4):
        turn()
        let_pass()
    ended = fresh(task)
    assert (ended.state, ended.error_code) == ("failed", "SUBMIT_UNKNOWN")
    assert len(Rig.orders) == 1
    assert Event.objects.filter(topic="task.submit_unknown", owner=None).count() == 1
    assert_closed(task)


def test_R1_work_with_our_id_that_may_have_been_taken_is_looked_up(user: User, polling: runner.Polling) -> None:
    make_executor(kind="namedrig")
    task = create(user, make_ability("namedrig"))
    Rig.script[:] = [ProviderSilent("timeout")]
    work_off()
    ref = Invocation.objects.get().ref
    Rig.reports[ref] = succeeded(picture("found", png()), ref=ref)
    let_pass()
    turn(polling)
    assert fresh(task).state == "succeeded"
    assert len(Rig.orders) == 1


# Dead processes


def test_R8_a_task_that_kills_its_worker_each_time_ends_after_its_attempts(user: User) -> None:
    ability = make_ability("ownrig")
    task = create(user, ability)
    for _ in range(task.max_attempts):
        let_pass()
        claimed = fresh(task)
        assert lifecycle.claim(
            claimed, attempts.new_invocation(claimed, provider=executors.provider_class("ownrig"), executor=None)
        )
        kill_holder(task.invocations.latest("attempt"))
        runner.sweep()
    assert (fresh(task).state, fresh(task).error_code) == ("failed", "INTERRUPTED")
    assert list(task.invocations.order_by("attempt").values_list("status", flat=True)) == [
        "interrupted",
        "interrupted",
        "failed",
    ]
    assert_closed(task)


def test_a_dead_process_that_may_have_sent_ends_as_unknown_where_nobody_can_be_asked(user: User) -> None:
    make_executor()
    task = create(user, make_ability())
    claimed = fresh(task)
    executor = Executor.objects.get()
    invocation = attempts.new_invocation(claimed, provider=Rig, executor=executor)
    assert lifecycle.claim(claimed, invocation)
    runner.sweep()
    assert fresh(task).state == "running"
    kill_holder(invocation)
    turn()
    assert fresh(task).error_code == "SUBMIT_UNKNOWN"
    assert not Rig.orders
    assert_closed(task)


def test_a_result_that_kills_its_collector_each_time_ends_after_some_tries(user: User) -> None:
    task, invocation = start_waiting(user)

    def die() -> Iterator[bytes]:
        yield png()[:10]
        raise KeyboardInterrupt  # as good as a kill: nothing of ours runs afterwards

    Rig.files["deadly"] = die
    output = picture("deadly", b"")
    Rig.files["deadly"] = die
    runner.accept(task, invocation, succeeded(output), executors.connect("rig", Executor.objects.get()))
    for _ in range(MAX_STORE_TRIES):
        with pytest.raises(KeyboardInterrupt):
            runner.collect(invocation.pk)
        kill_holder(invocation)
    runner.collect(invocation.pk)
    assert (fresh(task).state, fresh(task).error_code) == ("failed", "ASSET_STORE_FAILED")
    assert len(Rig.orders) == 1
    assert_closed(task)


# Storing


def test_R9_a_storage_that_fails_for_a_while_costs_no_second_run(
    user: User, polling: runner.Polling, settings: Any, tmp_path: Path
) -> None:
    task, _ = start_waiting(user)
    Rig.reports["ref-1"] = succeeded(picture("cup", png()))
    good, bad = settings.MEDIA_FILES_DIR, tmp_path / "a-file-not-a-folder"
    bad.write_text("")
    settings.MEDIA_FILES_DIR = bad
    for _ in range(3):
        let_pass()
        turn(polling)
    waiting = Invocation.objects.get()
    assert (waiting.step, waiting.error_code) == ("collecting", "ASSET_STORE_FAILED")
    assert fresh(task).state == "running"
    settings.MEDIA_FILES_DIR = good
    let_pass()
    turn(polling)
    assert fresh(task).state == "succeeded"
    assert len(Rig.orders) == 1


def test_R9_a_storage_that_stays_broken_fails_the_task_and_never_says_success(
    user: User, polling: runner.Polling, settings: Any, tmp_path: Path
) -> None:
    task, _ = start_waiting(user)
    Rig.reports["ref-1"] = succeeded(picture("cup", png()))
    settings.MEDIA_FILES_DIR = tmp_path / "a-file"
    settings.MEDIA_FILES_DIR.write_text("")
    for _ in range(MAX_STORE_TRIES + 1):
        let_pass()
        turn(polling)
    ended = fresh(task)
    assert (ended.state, ended.error_code, ended.is_error_retryable) == ("failed", "ASSET_STORE_FAILED", True)
    assert not Asset.objects.exists()
    assert len(Rig.orders) == 1
    assert_closed(task)


def test_past_its_deadline_a_task_that_could_not_be_stored_says_so(
    user: User, polling: runner.Polling, settings: Any, tmp_path: Path
) -> None:
    task, _ = start_waiting(user)
    Rig.reports["ref-1"] = succeeded(picture("cup", png()))
    settings.MEDIA_FILES_DIR = tmp_path / "a-file"
    settings.MEDIA_FILES_DIR.write_text("")
    let_pass()
    turn(polling)
    pass_deadline(task)
    turn(polling)
    assert fresh(task).error_code == "ASSET_STORE_FAILED"


@pytest.mark.parametrize("report", [succeeded(), succeeded(picture("junk", b"<html>not a picture</html>"))])
def test_R9_a_success_without_what_was_promised_is_a_failure(
    user: User, polling: runner.Polling, report: Report
) -> None:
    task, _ = start_waiting(user)
    Rig.files["junk"] = lambda: iter([b"<html>not a picture</html>"])
    Rig.reports["ref-1"] = report
    let_pass()
    turn(polling)
    assert fresh(task).state == "failed"
    assert fresh(task).error_code in {"TASK_IMAGES_EMPTY", "OUTPUT_NOT_READABLE"}


# The line


def test_a_task_sent_back_keeps_its_place_and_its_slot_goes_to_the_next(user: User) -> None:
    make_executor()
    ability = make_ability()
    first, second = create(user, ability), create(user, ability)
    place = Lease.objects.get(holder=first.pk).place
    Rig.script[:] = [ProviderRefusedKey("this key not"), accepted()]
    Executor.objects.update(secrets={})
    runner.dispatch(first.pk)
    lease = Lease.objects.get(holder=first.pk)
    assert (lease.place, lease.slot) == (place, None)
    Executor.objects.update(paused_until=None)
    rung = Task.objects.get(pk=second.pk).rung_at
    assert rung is not None
    work_off()
    assert fresh(second).state == "running"
    assert fresh(first).state == "queued"


def test_the_most_urgent_task_is_next_then_the_oldest(user: User, polling: runner.Polling) -> None:
    task, _ = start_waiting(user)
    ability = task.ability
    assert ability is not None
    waiting = [create(user, ability, priority=urgency) for urgency in (0, 0, 5, 9, 5)]
    work_off()
    began = []
    for _ in waiting:
        running = Task.objects.get(state="running")
        Rig.reports["ref-1"] = Report(phase=Phase.FAILED, ref="ref-1", code="ENOUGH", message="enough")
        Invocation.objects.filter(step="waiting").update(next_poll_at=timezone.now())
        polling.step()
        for done in list(polling._open.values()):
            done.future.result(timeout=5)
        polling.step()
        assert fresh(running).state == "failed"
        work_off()
        began.append(Task.objects.get(state="running").pk)
    assert began == [waiting[index].pk for index in (3, 2, 4, 0, 1)]


def test_R4_one_task_whose_report_cannot_be_taken_holds_up_no_other(
    user: User, polling: runner.Polling, django_db_blocker: Any
) -> None:
    task, invocation = start_waiting(user)
    Executor.objects.update(max_concurrency=5)
    Rig.script[:] = [lambda order: accepted(f"ref-{len(Rig.orders)}")]
    assert task.ability is not None
    other = create(user, task.ability)
    work_off()
    # A hold nobody knows makes the end of the first task raise, each time.
    Task.objects.filter(pk=task.pk).update(hold_id="no-such-hold")
    for row in Invocation.objects.filter(step="waiting"):
        Rig.reports[row.ref] = succeeded(picture(row.ref, png()), ref=row.ref)
    for _ in range(2):
        let_pass()
        turn(polling)
    assert fresh(other).state == "succeeded"
    assert fresh(task).state == "running"
    pass_deadline(task)
    third = create(user, task.ability, deadline_s=5)
    pass_deadline(third)
    turn(polling)
    assert fresh(third).state == "failed"
    assert invocation.pk


def test_R4_an_answer_no_adapter_can_read_is_asked_for_again(user: User, polling: runner.Polling) -> None:
    task, _ = start_waiting(user)
    Rig.reports["ref-1"] = KeyError("queue_running")
    let_pass()
    turn(polling)
    assert fresh(task).state == "running"
    Rig.reports["ref-1"] = succeeded(picture("after-all", png()))
    let_pass()
    turn(polling)
    assert fresh(task).state == "succeeded"
