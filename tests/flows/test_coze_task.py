"""An ability that runs on Coze, from the call to the stored picture: with the settings' account, or an executor's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as podi_settings

from abilities import results, runner, services
from abilities.models import Ability, Invocation, Task
from executors.models import Executor
from tests.flows.conftest import Api
from tests.flows.driver import settle, work_off
from tests.simulators.coze import TOKEN, CozeSimulator
from wallet.models import Account

pytestmark = pytest.mark.django_db(transaction=True)
WORKFLOW = "7400000000000000001"


@pytest.fixture
def coze() -> Iterator[CozeSimulator]:
    with CozeSimulator() as simulator:
        yield simulator


@pytest.fixture
def account(coze: CozeSimulator, settings: Any) -> CozeSimulator:
    settings.PROVIDER_ENDPOINTS = {
        "coze": {"base_url": coze.url, "secrets": {"token": TOKEN}, "options": {"flavour": "cloud", "timeout_s": 5}}
    }
    return coze


@pytest.fixture
def poster(db: None) -> Ability:
    return services.create_ability(
        None,
        ability_id="coze_poster",
        provider="coze",
        category="image_generation",
        capability_key="poster",
        display_name="Coze · 海报",
        status="active",
        coze_workflow_id=WORKFLOW,
        input_schema={"fields": [{"name": "prompt", "type": "text", "label": "提示词 Prompt", "required": True}]},
        metadata={"outputs": {"images": 1}, "pricing": {"points": 3}},
    )


def configure(ability: Ability, **metadata: Any) -> None:
    services.update_ability(None, ability, metadata={**ability.metadata, **metadata})


def invoke(api: Api, **more: Any) -> Task:
    answer = api.post("/api/ability-tasks", {"abilityId": "coze_poster", "inputs": {"prompt": "cup"}, **more})
    assert answer.status_code == 200, answer.json()
    return Task.objects.get(pk=answer.json()["id"])


def points_of(api: Api) -> int:
    account = Account.objects.filter(owner_id=api.token.user_id).first()
    return account.balance if account else podi_settings.WALLET_SIGNUP_POINTS


@pytest.mark.parametrize("mode", ["async", "sync", "stream"])
def test_needs_no_executor_where_the_settings_name_an_account(
    api: Api, account: CozeSimulator, poster: Ability, polling: runner.Polling, mode: str
) -> None:
    configure(poster, coze_mode=mode)
    task = settle(invoke(api).pk, polling=polling)
    assert (task.state, task.executor_id) == ("succeeded", None)
    (asset,) = results.invoke_response(task, log_id=None)["images"]
    assert asset["width"] == 64
    (run,) = account.runs.by_id.values()
    assert run.ext["ability_id"] == "coze_poster"
    assert run.ext["user_id"] == task.owner_id


def test_the_debug_page_is_in_the_operator_s_log_and_nowhere_else(
    api: Api, account: CozeSimulator, poster: Ability, polling: runner.Polling
) -> None:
    account.runs.holds = True
    task = invoke(api)
    work_off()
    log = Invocation.objects.get(task=task)
    assert "work_flow?execute_id=" in log.response_payload["debug_url"], "already while it runs"
    account.runs.holds = False
    settle(task.pk, polling=polling)
    log.refresh_from_db()
    assert "work_flow?execute_id=" in log.response_payload["debug_url"]
    shown = api.get(f"/api/ability-tasks/{task.pk}").content.decode()
    assert "debug_url" not in shown
    assert "work_flow" not in shown


def test_the_debug_page_of_a_run_that_took_too_long_is_kept(api: Api, account: CozeSimulator, poster: Ability) -> None:
    account.runs.holds = True
    task = invoke(api)
    work_off()
    Task.objects.filter(pk=task.pk).update(deadline_at=task.created_at)
    runner.sweep()
    task.refresh_from_db()
    assert task.error_code == "TASK_TIMEOUT"
    assert "debug_url" in Invocation.objects.get(task=task).response_payload


def test_R1_a_lost_answer_ends_as_unknown_with_the_points_back_and_is_not_sent_again(
    api: Api, account: CozeSimulator, poster: Ability, polling: runner.Polling
) -> None:
    account.add_fault("POST /v1/workflow/run", "cut_after")
    before = points_of(api)
    task = settle(invoke(api).pk, polling=polling)
    assert points_of(api) == before
    assert (task.state, task.error_code) == ("failed", "SUBMIT_UNKNOWN")
    runner.sweep()
    work_off()
    assert len(account.runs.by_id) == 1


def test_an_executor_of_its_own_is_used_where_one_is_bound(
    api: Api, account: CozeSimulator, poster: Ability, polling: runner.Polling
) -> None:
    with CozeSimulator(flavour="studio", token="pat_of_the_studio") as studio:
        executor = Executor.objects.create(
            id="studio",
            name="Studio",
            type="coze",
            base_url=studio.url,
            status="active",
            secrets={"token": "pat_of_the_studio"},
        )
        services.update_ability(None, poster, executor_id=executor.pk)
        task = settle(invoke(api).pk, polling=polling)
        assert (task.state, task.executor_id) == ("succeeded", "studio")
        assert len(studio.runs.by_id) == 1
    assert not account.runs.by_id


def test_an_executor_may_be_named_in_the_call(
    api: Api, account: CozeSimulator, poster: Ability, polling: runner.Polling
) -> None:
    Executor.objects.create(
        id="cloud_b",
        name="B",
        type="coze",
        base_url=account.url,
        status="active",
        secrets={"token": TOKEN},
        config={"flavour": "cloud"},
    )
    task = settle(invoke(api, executorId="cloud_b").pk, polling=polling)
    assert (task.state, task.executor_id) == ("succeeded", "cloud_b")


def test_without_account_and_executor_nothing_is_begun(api: Api, poster: Ability) -> None:
    answer = api.post("/api/abilities/coze_poster/invoke", {"inputs": {"prompt": "cup"}})
    assert (answer.status_code, answer.json()["detail"]) == (503, "COZE_NOT_CONFIGURED")
    assert not Task.objects.exists()


def test_without_account_any_active_executor_of_the_kind_serves(
    api: Api, coze: CozeSimulator, poster: Ability, polling: runner.Polling
) -> None:
    Executor.objects.create(
        id="only",
        name="Only",
        type="coze",
        base_url=coze.url,
        status="active",
        secrets={"token": TOKEN},
        config={"flavour": "cloud"},
    )
    task = settle(invoke(api).pk, polling=polling)
    assert (task.state, task.executor_id) == ("succeeded", "only")


def test_a_missing_workflow_id_is_the_contract_s_400(api: Api, account: CozeSimulator, poster: Ability) -> None:
    services.update_ability(None, poster, coze_workflow_id="")
    task = invoke(api)
    work_off()
    task.refresh_from_db()
    assert (task.state, task.error_code) == ("failed", "COZE_WORKFLOW_ID_MISSING")
    assert not account.journal


def test_the_ability_s_map_reaches_polled_runs(
    api: Api, account: CozeSimulator, poster: Ability, polling: runner.Polling
) -> None:
    link = account.files.add_result("a", b"", content_type="image/png")
    account.runs.add(WORKFLOW, output=lambda inputs: {"title": inputs["prompt"], "ignored": link})
    configure(poster, outputs={"texts": 1}, coze_outputs={"texts": "title"})
    task = settle(invoke(api).pk, polling=polling)
    assert results.invoke_response(task, log_id=None)["texts"] == ["cup"]


def test_R9_a_success_without_the_promised_picture_is_a_failure(
    api: Api, account: CozeSimulator, poster: Ability, polling: runner.Polling
) -> None:
    account.runs.add(WORKFLOW, output={"text": "I could not draw that."})
    task = settle(invoke(api).pk, polling=polling)
    assert (task.state, task.error_code) == ("failed", "TASK_IMAGES_EMPTY")
