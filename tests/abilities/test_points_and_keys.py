"""Points of a task, idempotency keys and the limits of a token, also when many call at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from abilities import runner, services
from abilities.models import Ability, Task, TaskAsset
from executors.models import Lease
from executors.providers.base import Phase, ProviderRejected, Report
from media.models import Asset
from podi.base.errors import ConcurrencyLimited, IdempotencyKeyReused, InvalidInput, PodiError
from podi.base.models import User
from podi.events.models import Event
from tests.abilities.conftest import Api, png, png_base64
from tests.abilities.rig import Rig, accepted, picture, succeeded
from tests.abilities.stage import create, fresh, let_pass, make_ability, make_executor, pass_deadline, turn
from tests.wallet.accounts import assert_sound
from wallet import services as wallet
from wallet.errors import WalletInsufficient
from wallet.models import Hold

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rigs")]

PRICE = {"action": "paint", "outputs": {"images": "count"}, "pricing": {"unit": "per_image", "points": 10}}


@pytest.fixture
def polling() -> Iterator[runner.Polling]:
    found = runner.Polling()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _gift(settings: Any) -> None:
    settings.WALLET_SIGNUP_POINTS = 100


def points(user: User) -> tuple[int, int]:
    now = wallet.balance(user.pk)
    return now.available, now.held


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    gate = threading.Barrier(count)
    answers: list[Any] = [None] * count

    def run(index: int) -> None:
        try:
            connection.ensure_connection()
            gate.wait()
            answers[index] = work(index)
        except PodiError as refusal:
            answers[index] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize(("pictures", "charged"), [(4, 40), (3, 30), (5, 40)])
def test_R14_R26_points_are_held_at_submit_and_taken_by_what_was_delivered(
    user: User, polling: runner.Polling, pictures: int, charged: int
) -> None:
    make_executor()
    Rig.script[:] = [accepted()]
    task = create(user, make_ability(metadata=PRICE), inputs={"count": 4})
    assert points(user) == (60, 40)
    turn()
    assert points(user) == (60, 40)
    Rig.reports["ref-1"] = succeeded(*(picture(f"p{n}", png(8 + n)) for n in range(pictures)))
    let_pass()
    turn(polling)
    assert fresh(task).state == "succeeded"
    assert points(user) == (100 - charged, 0)
    assert task.invocations.get().quantity == pictures
    assert_sound()


@pytest.mark.parametrize("end", ["failed", "cancelled", "timeout", "rejected"])
def test_R26_points_come_back_whole_however_a_task_ends_badly(user: User, polling: runner.Polling, end: str) -> None:
    make_executor()
    Rig.script.append(ProviderRejected("no") if end == "rejected" else accepted())
    task = create(user, make_ability(metadata=PRICE), inputs={"count": 4})
    turn()
    if end == "failed":
        Rig.reports["ref-1"] = Report(phase=Phase.FAILED, ref="ref-1", code="COMFYUI_ERROR", message="out of memory")
    elif end == "cancelled":
        services.cancel_task(user, fresh(task))
    elif end == "timeout":
        pass_deadline(task)
    let_pass()
    turn(polling)
    assert fresh(task).is_terminal
    assert points(user) == (100, 0)
    assert task.invocations.get().cost_amount is None
    assert_sound()


def test_too_few_points_are_402_and_nothing_is_created(user: User, api: Api) -> None:
    make_executor()
    ability = make_ability(metadata=PRICE)
    events = Event.objects.count()
    response = api.post("/api/ability-tasks", {"abilityId": ability.id, "inputs": {"count": 11}})
    assert (response.status_code, response.json()["detail"]) == (402, "WALLET_INSUFFICIENT")
    assert not Task.objects.exists()
    assert not Lease.objects.exists()
    assert not Hold.objects.exists()
    assert Event.objects.count() == events
    with pytest.raises(WalletInsufficient):
        create(user, ability, inputs={"count": 11}, deadline_s=3600)


def test_a_hold_outlives_any_sweep_while_its_task_runs(user: User, polling: runner.Polling) -> None:
    make_executor()
    Rig.script[:] = [accepted()]
    create(user, make_ability(metadata=PRICE), inputs={"count": 1})
    turn()
    assert wallet.release_expired(timezone.now() + timedelta(days=8)) == 0
    assert points(user) == (90, 10)


@pytest.mark.parametrize("wrong", [{"priority": 10}, {"priority": -1}, {"deadline_s": 4}, {"deadline_s": 10**7}])
def test_a_wrong_wish_is_refused_before_anything_is_stored(user: User, upscale: Ability, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        services.prepare(upscale.id, services.Call(pictures=(png_base64(),), **wrong))
    assert not Asset.objects.exists()


@pytest.mark.parametrize(
    ("executor_id", "status", "detail"),
    [("nobody", 404, "EXECUTOR_NOT_FOUND"), ("rig_a", 400, "EXECUTOR_TYPE_NOT_PODI")],
)
def test_an_executor_that_cannot_serve_is_refused_even_where_none_is_needed(
    api: Api, upscale: Ability, executor_id: str, status: int, detail: str
) -> None:
    make_executor()
    body = {"imageBase64": png_base64(), "executorId": executor_id}
    response = api.post(f"/api/abilities/{upscale.id}/invoke", body)
    assert (response.status_code, response.json()["detail"]) == (status, detail)
    assert not Task.objects.exists()
    assert not Asset.objects.exists()


def test_R7_one_key_sent_by_many_at_once_makes_one_task_one_hold_and_one_picture(user: User, settings: Any) -> None:
    settings.WALLET_SIGNUP_POINTS = 100
    make_executor(queue_limit=50)
    fields = [{"name": "image_url", "type": "image", "required": True}]
    ability = make_ability(metadata={**PRICE, "outputs": {"images": 1}}, input_schema={"fields": fields})
    wallet.ensure_account(user.pk)
    once = services.Once(key="order-7", fingerprint="the same")

    def call(_index: int) -> str:
        prepared = services.prepare(ability.id, services.Call(pictures=(png_base64(),)))
        return services.create_task(user, prepared, source=Task.Source.TASK, once=once).task.pk

    answers = at_once(8, call)
    assert len(set(answers)) == 1, answers
    assert Task.objects.count() == 1
    assert Hold.objects.count() == 1
    assert Lease.objects.count() == 1
    assert Asset.objects.count() == 1
    assert TaskAsset.objects.filter(asset_type="input").count() == 1
    with pytest.raises(IdempotencyKeyReused):
        services.repeated_task(user, services.Once(key="order-7", fingerprint="another"))
    stranger = User.objects.create_user(username="other", email="o@shop.example", password="invented-password-3")
    assert services.repeated_task(stranger, once) is None


def test_a_key_whose_task_was_refused_may_be_used_again(user: User) -> None:
    make_executor()
    ability = make_ability(metadata=PRICE)
    once = services.Once(key="order-8", fingerprint="x")
    with pytest.raises(WalletInsufficient):
        create(user, ability, inputs={"count": 11}, once=once)
    assert services.repeated_task(user, once) is None
    assert create(user, ability, inputs={"count": 1}, once=once).pk


def test_a_tokens_limit_of_open_tasks_holds_for_callers_at_the_same_moment(user: User) -> None:
    make_executor(queue_limit=50)
    ability = make_ability()
    token = Api(user, max_concurrency=3).token
    prepared = services.prepare(ability.id, services.Call(inputs={"prompt": "x"}))

    def call(_index: int) -> Any:
        return services.create_task(user, prepared, source=Task.Source.TASK, token=token).task

    answers = at_once(8, call)
    assert sum(isinstance(answer, Task) for answer in answers) == 3
    assert sum(isinstance(answer, ConcurrencyLimited) for answer in answers) == 5
    assert Task.objects.count() == Lease.objects.count() == 3
    services.cancel_task(user, Task.objects.first())  # type: ignore[arg-type]
    assert isinstance(call(0), Task)


def test_the_trace_id_of_the_caller_goes_through_to_the_log_without_what_does_not_belong(user: User) -> None:
    make_executor()
    Rig.script[:] = [accepted()]
    task = create(user, make_ability(), metadata={"traceId": "trace-1\n<script>", "workflowRunId": 77})
    turn()
    invocation = task.invocations.get()
    assert (invocation.trace_id, invocation.workflow_run_id) == ("trace-1script", "77")
