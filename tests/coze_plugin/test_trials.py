"""Trial runs: a publishable sample of every tool, without a task, a point or a call to anybody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.utils import timezone

from abilities import services as abilities
from abilities.models import Ability, Invocation, Task
from coze_plugin import services, trials
from coze_plugin.models import Tool
from executors import services as executors
from media.models import Asset
from podi.base.models import User
from podi.base.services import ensure_service_user
from tests.abilities.conftest import png_base64
from tests.coze_plugin.conftest import make_ability
from tests.coze_plugin.coze import PREFIX, Coze, answer_schema_of, cut
from tests.coze_plugin.test_tools import has_the_shape
from wallet.models import Transfer

pytestmark = pytest.mark.django_db(transaction=True)


def nothing_happened() -> None:
    for model in (Task, Invocation, Asset, Transfer):
        assert not model.objects.exists(), model


def test_every_tool_of_the_document_answers_a_dry_run_and_nothing_happens(coze: Coze) -> None:
    """No node, no worker, no executor: publishing must not depend on them."""
    executors.load_workflows(ensure_service_user())
    abilities.load_catalog(abilities.read_catalog())
    document = coze.get("/openapi.json").json()
    for path, item in document["paths"].items():
        example = item["post"]["requestBody"]["content"]["application/json"]["example"]
        response = coze.post(path.removeprefix(PREFIX), {**example, "dryRun": "true"})
        assert response.status_code == 200, path
        schema = answer_schema_of(document, path.removeprefix(PREFIX))
        answer = response.json()
        assert cut(answer, schema, is_debug=True) == answer, path
        if "queue-summary" in path:
            assert answer["servers"]
            continue
        has_the_shape(answer)
        assert (answer["taskStatus"], answer["dryRun"]) == ("succeeded", True)
        assert answer["imageUrls"] or answer["texts"]
        if path.endswith("tasks/get"):
            continue  # it repeats the id it was given
        polled = coze.task(answer["taskId"]).json()
        assert (polled["taskId"], polled["taskStatus"]) == (answer["taskId"], "succeeded"), "R11"
        assert polled["imageUrls"] == answer["imageUrls"]
    nothing_happened()


def test_a_dry_run_says_what_a_real_call_would_be_refused_for(coze: Coze, upscale: Ability) -> None:
    answer = coze.tool("podi", "upscale_resize", {"dryRun": True, "max_long_edge": "many", "output": "callback"}).json()
    assert answer["taskStatus"] == "succeeded"
    assert "INVALID_INPUT" in answer["debugResponse"]
    assert answer["ignoredInputs"] == ["output"]
    nothing_happened()


@pytest.mark.parametrize("no", [False, "false", "", None, "0"])
def test_only_a_clear_yes_is_a_dry_run(coze: Coze, upscale: Ability, settings: Any, no: Any) -> None:
    settings.COZE_WAIT_S = 0
    answer = coze.tool("podi", "upscale_resize", {"url": png_base64(), "dryRun": no}).json()
    assert (answer["taskStatus"], answer["dryRun"], answer["ignoredInputs"]) == ("running", False, [])
    assert Task.objects.count() == 1


def test_a_field_of_the_abilitys_own_is_no_switch(coze: Coze, settings: Any) -> None:
    settings.COZE_WAIT_S = 0
    make_ability(input_schema={"fields": [{"name": "dryRun", "type": "switch", "label": "干跑"}]})
    assert coze.tool("podi", "everything", {"dryRun": "true"}).json()["dryRun"] is False
    assert Task.objects.get().inputs["values"] == {"dryRun": True}


def test_an_operator_switches_a_tool_to_samples_and_the_switch_turns_itself_off(
    coze: Coze, upscale: Ability, boss: User, settings: Any
) -> None:
    settings.COZE_WAIT_S = 0
    services.start_trial(boss, upscale)
    assert coze.tool("podi", "upscale_resize", {"url": "https://shop.example/x.png"}).json()["dryRun"] is True
    nothing_happened()
    Tool.objects.update(trial_until=timezone.now() - timedelta(seconds=1))
    assert coze.tool("podi", "upscale_resize", {"url": png_base64()}).json()["dryRun"] is False
    services.start_trial(boss, upscale)
    services.end_trial(boss, upscale)
    assert coze.tool("podi", "upscale_resize", {"url": png_base64()}).json()["dryRun"] is False


def test_a_trial_keeps_to_the_rules_of_access(upscale: Ability) -> None:
    assert Coze(token="").tool("podi", "upscale_resize", {"dryRun": "true"}).status_code == 401


def test_samples_have_what_the_ability_promises_and_their_files_exist(coze: Coze) -> None:
    for outputs, key in (
        ({"videos": 1}, "videoUrl"),
        ({"texts": 1}, "text"),
        ({"files": 1}, "fileUrl"),
        ({"images": "batch"}, "imageUrl"),
    ):
        make_ability(capability_key=key, metadata={"outputs": outputs})
        answer = coze.tool("podi", key, {"dryRun": "true"}).json()
        assert answer[key]
        others = {"videoUrl", "fileUrl", "imageUrl"} - {key}
        assert not any(answer[other] for other in others)
    for name in trials._FILES.values():
        assert finders.find(f"coze_plugin/{name}"), name
    make_ability(capability_key="film", category="video_generation", metadata={})
    assert coze.tool("podi", "film", {"dryRun": "true"}).json()["videoUrl"]


def test_no_task_can_have_a_samples_id(upscale: Ability) -> None:
    assert not any(trials.is_trial_id(Task(ability=upscale).id) for _ in range(100))
    assert trials.is_trial_id(trials.task_id_of(upscale))
    assert trials.ability_of(trials.task_id_of(upscale)) == upscale
