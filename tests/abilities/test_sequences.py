"""Whatever happens to tasks in whatever order: the table of states holds, nothing leaks, points add up."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abilities import attempts, lifecycle, runner, services
from abilities.errors import TaskNotCancellable
from abilities.lifecycle import TRANSITIONS, ForbiddenTransition, Problem
from abilities.models import Invocation, Task
from executors import services as executors
from executors.models import Executor, Lease
from executors.providers.base import Phase, ProviderBusy, ProviderSilent, ProviderUnreachable, Report
from podi.base.models import User
from podi.events.models import Event
from tests.abilities.conftest import png
from tests.abilities.rig import Rig, accepted, picture, reset, succeeded
from tests.abilities.stage import create, fresh, let_pass, make_ability, make_executor, pass_deadline, turn
from tests.wallet.accounts import assert_sound
from wallet import services as wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rigs")]

PRICE = {"action": "paint", "outputs": {"images": 1}, "pricing": {"unit": "per_image", "points": 1}}
STEPS = (
    "create",
    "work",
    "poll",
    "sweep",
    "cancel",
    "finish",
    "break",
    "forget",
    "busy",
    "dead",
    "silent",
    "late",
    "pass",
)


class Play:
    """One sequence: what can be done to the tasks, and what must hold after each step."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.polling = runner.Polling()
        self.tasks: list[Task] = []
        self.seen: dict[str, str] = {}

    def do(self, step: str, which: int) -> None:
        Rig.script[:] = [lambda order: accepted(order.ref)]
        task = fresh(self.tasks[which % len(self.tasks)]) if self.tasks else None
        if step == "create" or task is None:
            self.tasks.append(create(self.user, services.find_ability("namedrig_paint")))
        elif step == "cancel":
            with suppress(TaskNotCancellable):
                services.cancel_task(self.user, task)
        elif step == "late":
            pass_deadline(task)
        elif step in ("finish", "break"):
            self.answer(task, is_good=step == "finish")
        elif step == "forget":
            Rig.reports.clear()
        elif step in ("busy", "dead", "silent"):
            error = {"busy": ProviderBusy, "dead": ProviderUnreachable, "silent": ProviderSilent}[step]
            Rig.script[:] = [error("scripted")]
            self.run()
        else:
            self.run(step)

    def run(self, step: str = "work") -> None:
        if step == "pass":
            let_pass()
        turn(self.polling if step in ("poll", "pass") else None)

    def answer(self, task: Task, *, is_good: bool) -> None:
        open_row = task.invocations.exclude(step="closed").first()
        if open_row is not None:
            ref = open_row.ref
            bad = Report(phase=Phase.FAILED, ref=ref, code="COMFYUI_ERROR", message="broken")
            Rig.reports[ref] = succeeded(picture(ref, png()), ref=ref) if is_good else bad

    def check(self) -> None:
        for task in map(fresh, self.tasks):
            open_rows = task.invocations.exclude(step="closed").count()
            assert open_rows == (task.state == "running"), (task.state, open_rows)
            if task.is_terminal:
                assert not Lease.objects.filter(holder=task.pk).exists()
                assert self.seen.setdefault(task.pk, task.state) == task.state
            assert task.invocations.count() == task.attempt

    def end(self) -> None:
        for task in self.tasks:
            pass_deadline(task)
        for _ in range(3):
            let_pass()
            turn(self.polling)
        self.polling.close()
        self.check()
        assert all(fresh(task).is_terminal for task in self.tasks)
        assert not Lease.objects.exists()
        assert not Invocation.objects.filter(status="pending").exists()
        succeeded_ = Task.objects.filter(state="succeeded").count()
        assert (wallet.balance(self.user.pk).available, wallet.balance(self.user.pk).held) == (500 - succeeded_, 0)
        assert_sound()
        for task in self.tasks:
            facts = Event.objects.filter(subject_id=task.pk, topic="ability-task.status").order_by("id")
            states = [event.payload["status"] for event in facts]
            moves = [pair for pair in itertools.pairwise(states) if pair[0] != pair[1]]
            assert states[0] == "queued"
            assert set(moves) <= TRANSITIONS, moves


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), min_size=6, max_size=18))
def test_R1_R26_no_sequence_leaves_the_table_leaks_a_slot_or_loses_a_point(
    transactional_db: None, settings: Any, steps: list[tuple[str, int]]
) -> None:
    settings.WALLET_SIGNUP_POINTS = 500
    reset()
    Executor.objects.all().delete()
    suffix = str(timezone.now().timestamp())
    user = User.objects.create_user(username=suffix, email=f"{suffix}@shop.example", password=None)
    Task.objects.all().delete()
    make_executor(kind="namedrig", max_concurrency=2, queue_limit=50)
    if not services.active_abilities().filter(pk="namedrig_paint").exists():
        make_ability("namedrig", metadata=PRICE)
    play = Play(user)
    for step, which in steps:
        play.do(step, which)
        play.check()
    play.end()


def race(*works: Callable[[], Any]) -> list[Any]:
    """All at the same moment, each in a thread with its own connection; a refusal is an answer."""
    gate = threading.Barrier(len(works))
    answers: list[Any] = [None] * len(works)

    def run(index: int) -> None:
        try:
            connection.ensure_connection()
            gate.wait()
            answers[index] = works[index]()
        except (TaskNotCancellable, ForbiddenTransition) as refusal:
            answers[index] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def queued(user: User) -> Task:
    make_executor(kind="namedrig")
    return create(user, make_ability("namedrig", metadata=PRICE))


def running(user: User) -> Task:
    task = queued(user)
    Rig.script[:] = [lambda order: accepted(order.ref)]
    runner.dispatch(task.pk)
    return fresh(task)


def test_R2_of_two_dispatchers_one_sends(user: User) -> None:
    task = queued(user)
    Rig.script[:] = [lambda order: accepted(order.ref)]
    race(*[lambda: runner.dispatch(task.pk)] * 4)
    assert len(Rig.orders) == 1
    assert (fresh(task).attempt, task.invocations.count(), Lease.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize("names", list(itertools.combinations(["succeed", "fail", "cancel", "requeue", "overdue"], 2)))
def test_of_two_that_move_one_task_at_once_exactly_one_does(user: User, names: tuple[str, str]) -> None:
    task = running(user)
    problem = Problem(code="RACED", message="raced")

    def end(name: str) -> Callable[[], Any]:
        mine = fresh(task)
        row = mine.invocations.get()
        delivered = lifecycle.Delivered(result={"texts": ["x"]}, outputs=1)
        return {
            "succeed": lambda: lifecycle.succeed(mine, row, delivered),
            "fail": lambda: lifecycle.fail(mine, row, problem),
            "cancel": lambda: lifecycle.cancel(mine, row),
            "requeue": lambda: lifecycle.requeue(mine, row, problem=problem, not_before=None),
            "overdue": lambda: lifecycle.fail(mine, row, Problem(code="TASK_TIMEOUT", message="late")),
        }[name]

    events = Event.objects.filter(topic="ability-task.status").count()
    answers = race(*[end(name) for name in names])
    assert sorted(answers) == [False, True]
    assert Event.objects.filter(topic="ability-task.status").count() == events + 1
    assert task.invocations.get().step == "closed"
    assert_sound()


def test_a_cancel_and_a_claim_at_once_leave_one_true_story(user: User) -> None:
    task = queued(user)
    Rig.script[:] = [lambda order: accepted(order.ref)]
    race(lambda: services.cancel_task(user, fresh(task)), lambda: runner.dispatch(task.pk))
    turn()
    assert fresh(task).state == "cancelled"
    assert len(Rig.cancelled) == len(Rig.orders) <= 1
    assert not Lease.objects.exists()


def test_R2_two_pollers_take_one_report_once(user: User) -> None:
    task = running(user)
    ref = task.invocations.get().ref
    Rig.reports[ref] = Report(phase=Phase.FAILED, ref=ref, code="COMFYUI_ERROR", message="broken")
    let_pass()
    events = Event.objects.filter(topic="ability-task.status").count()

    def poll() -> None:
        polling = runner.Polling()
        polling.step()
        for done in list(polling._open.values()):
            done.future.result(timeout=5)
        polling.step()
        polling.close()

    race(poll, poll)
    assert fresh(task).state == "failed"
    assert Event.objects.filter(topic="ability-task.status").count() == events + 1


def test_a_move_outside_the_table_is_a_bug_that_shows(user: User) -> None:
    task = running(user)
    for state, to in itertools.product(Task.State.values, repeat=2):
        task.state = state
        if (state, to) not in TRANSITIONS:
            with pytest.raises(ForbiddenTransition):
                lifecycle.advance(task, to)


def test_an_attempt_that_is_over_moves_nothing(user: User) -> None:
    """The fence: who carries an older number writes nothing."""
    task = running(user)
    stale, row = fresh(task), task.invocations.get()
    assert lifecycle.requeue(fresh(task), row, problem=Problem(code="X", message=""), not_before=None)
    again = fresh(task)
    second = attempts.new_invocation(
        again, provider=executors.provider_class("namedrig"), executor=Executor.objects.get()
    )
    assert lifecycle.claim(again, second)
    assert not lifecycle.fail(stale, row, Problem(code="STALE", message=""))
    assert (fresh(task).state, fresh(task).attempt) == ("running", 2)
