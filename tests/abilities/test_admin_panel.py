"""The test panel: drawn from the schema, a real task through the services, refusals at their fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from abilities import services
from abilities.models import Ability, Invocation, Task, TaskAsset
from executors.models import Executor
from media.models import Asset
from podi.base.models import User
from tests.abilities.conftest import png
from tests.flows.driver import work_off

pytestmark = pytest.mark.django_db(transaction=True)
PANEL = "/admin/abilities/ability/podi_upscale_resize/test/"


@pytest.fixture(autouse=True)
def english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def upload(name: str = "print.png", width: int = 40, height: int = 20) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, png(width, height), "image/png")


def run(desk: Client, **values: Any) -> Any:
    return desk.post(PANEL + "run/", values)


def every_kind(**more: Any) -> Ability:
    """An ability with a field of every type."""
    fields = [
        {"name": "prompt", "type": "textarea", "label": "Prompt", "default": "a cup", "max_length": 50},
        {"name": "title", "type": "text", "placeholder": "Title", "required": True},
        {"name": "style", "type": "select", "options": [{"value": "a", "label": "Style A"}, "b"]},
        {"name": "fast", "type": "switch", "default": True},
        {"name": "steps", "type": "number", "min": 1, "max": 9, "unit": "px", "description": "How many <b>steps</b>"},
        {"name": "pictures", "type": "image", "multiple": True, "max_items": 3},
    ]
    values = {"provider": "comfyui", "category": "c", "capability_key": "k", "display_name": "All <kinds>", **more}
    return services.create_ability(
        None, ability_id="all_kinds", status="active", input_schema={"fields": fields}, **values
    )


def test_the_form_has_a_control_for_every_type_of_field(desk: Client) -> None:
    every_kind()
    Executor.objects.create(id="n1", name="Node one", type="comfyui", status="active")
    page = desk.get("/admin/abilities/ability/all_kinds/test/").content.decode()
    for piece in (
        'maxlength="50">a cup</textarea>',
        'placeholder="Title"',
        '<option value="a">Style A</option>',
        'value="true" checked',
        'min="1" max="9"',
        'name="file-pictures" accept="image/*" multiple',
        '<option value="n1">Node one',
    ):
        assert piece in page, piece
    assert "How many &lt;b&gt;steps&lt;/b&gt;" in page
    assert "All <kinds>" not in page


def test_an_uploaded_picture_runs_as_a_real_task_and_its_result_is_shown(
    desk: Client, upscale: Ability, operator: User
) -> None:
    answer = run(desk, **{"file-image_url": upload(), "in-max_long_edge": "16", "in-output_format": "png"})
    assert answer.status_code == 200, answer.content
    task = Task.objects.get(pk=answer.json()["taskId"])
    assert (task.source, task.owner, task.state) == ("admin-test", operator, "queued")
    waiting = desk.get(answer.json()["live"])
    assert waiting["X-Task-Final"] == "0"
    assert "Place 1 in the queue" in waiting.content.decode()
    work_off()
    done = desk.get(answer.json()["live"])
    assert done["X-Task-Final"] == "1"
    html = done.content.decode()
    assert "16 × 8 px" in html
    assert "/files/" in html
    assert Invocation.objects.get().source == "admin-test"
    runs = desk.get(PANEL + "runs/").content.decode()
    assert f"?from={task.pk}" in runs
    assert "/thumbnail" in runs


def test_a_dry_run_tells_price_and_route_and_stores_nothing(desk: Client) -> None:
    every_kind(metadata={"pricing": {"list_price": 0.5, "unit": "per_image", "points": 3}, "outputs": {"images": 2}})
    Executor.objects.create(id="n1", name="Node one", type="comfyui", status="active")
    Executor.objects.create(id="n2", name="Node two", type="comfyui", status="active", is_draining=True)
    answer = desk.post("/admin/abilities/ability/all_kinds/test/run/", {"in-title": "x", "dry_run": "1"})
    html = answer.json()["html"]
    for piece in ("1 CNY", "6 points", "Node one", "draining", "provider"):
        assert piece in html, piece
    assert not Task.objects.exists()
    assert not Asset.objects.exists()


def test_a_refusal_names_code_sentence_and_every_wrong_field_and_makes_no_task(desk: Client, upscale: Ability) -> None:
    answer = run(desk, **{"in-max_long_edge": "0", "in-output_format": "bmp"})
    assert answer.status_code == 422
    body = answer.json()
    assert body["code"] == "INVALID_INPUT"
    assert set(body["fields"]) == {"image_url", "max_long_edge", "output_format"}
    assert "at least 1" in body["fields"]["max_long_edge"]
    assert "INVALID_INPUT" in body["html"]
    assert not Task.objects.exists()


@pytest.mark.parametrize("content", [png(300, 300)[:300], b"no picture at all"])
def test_an_upload_stands_under_the_limits_of_media(desk: Client, upscale: Ability, content: bytes) -> None:
    answer = run(desk, **{"file-image_url": SimpleUploadedFile("a.png", content, "image/png")})
    assert answer.status_code in (400, 415, 422)
    assert answer.json()["code"].startswith("IMAGE")
    assert "image_url" in answer.json()["fields"]
    assert not Task.objects.exists()
    assert not Asset.objects.exists()


def test_a_file_above_the_limit_is_refused_before_it_is_read(desk: Client, upscale: Ability, settings: Any) -> None:
    settings.FETCH_MAX_BYTES = 50
    answer = run(desk, **{"file-image_url": upload(width=200)})
    assert (answer.status_code, answer.json()["code"]) == (400, "IMAGE_TOO_LARGE")
    assert not Task.objects.exists()


def test_two_pictures_for_one_field_are_refused(desk: Client, upscale: Ability) -> None:
    answer = run(desk, **{"file-image_url": upload(), "in-image_url": "https://shop.example/a.png"})
    assert answer.status_code == 422
    assert "image_url" in answer.json()["fields"]
    assert not Task.objects.exists()


def test_the_inputs_of_an_earlier_run_are_used_again(desk: Client, upscale: Ability) -> None:
    first = run(desk, **{"file-image_url": upload(), "in-max_long_edge": "17"}).json()["taskId"]
    page = desk.get(f"{PANEL}?from={first}").content.decode()
    asset = TaskAsset.objects.get(task_id=first, asset_type="input").asset
    assert f'name="asset-image_url" value="{asset.pk}"' in page
    assert 'value="17"' in page
    again = run(desk, **{"asset-image_url": asset.pk, "in-max_long_edge": "17"})
    assert again.status_code == 200, again.content
    second = Task.objects.get(pk=again.json()["taskId"])
    assert [row.asset_id for row in second.assets.all()] == [asset.pk]
    assert Asset.objects.count() == 1


def test_an_inactive_ability_and_an_older_version_can_be_tested(desk: Client, upscale: Ability, operator: User) -> None:
    services.update_ability(operator, upscale, default_params={"max_long_edge": 9}, status="inactive")
    assert 'value="9"' in desk.get(PANEL).content.decode()
    assert 'value="64"' in desk.get(PANEL + "?version=v1").content.decode()
    task_id = run(desk, **{"file-image_url": upload(), "version": "v1"}).json()["taskId"]
    task = Task.objects.get(pk=task_id)
    assert (task.ability_version, task.inputs["values"]["max_long_edge"]) == ("v1", 64)
    assert desk.get(PANEL + "?version=nine").status_code == 302


def test_an_ability_of_a_provider_that_is_gone_says_so(desk: Client, upscale: Ability) -> None:
    Ability.objects.filter(pk=upscale.pk).update(provider="departed")
    page = desk.get(PANEL, follow=True)
    assert page.redirect_chain[-1][0].endswith("/change/")
    assert page.status_code == 200
    assert page.context["messages"]


def test_priority_deadline_trace_and_executor_reach_the_task(desk: Client) -> None:
    every_kind()
    for pk in ("n1", "n2"):
        Executor.objects.create(id=pk, name=pk, type="comfyui", status="active")
    url = "/admin/abilities/ability/all_kinds/test/run/"
    values = {"in-title": "x", "executor": "n2", "priority": "7", "deadline": "60", "trace": "abc-1"}
    task = Task.objects.get(pk=desk.post(url, values).json()["taskId"])
    assert (task.executor_id, task.priority, task.trace_id) == ("n2", 7, "abc-1")
    assert (task.deadline_at - task.created_at).total_seconds() == 60
    refused = desk.post(url, {**values, "priority": "urgent"})
    assert refused.json()["fields"] == {"priority": "Send a number."}
    assert Task.objects.count() == 1


def test_only_those_who_may_change_abilities_run_them(client: Client, upscale: Ability, user: User) -> None:
    for staff in (False, True):
        User.objects.filter(pk=user.pk).update(is_staff=staff)
        client.force_login(User.objects.get(pk=user.pk))
        assert client.get(PANEL).status_code == (403 if staff else 302)
        assert client.post(PANEL + "run/", {"file-image_url": upload()}).status_code == (403 if staff else 302)
    assert not Task.objects.exists()


def test_a_forged_post_of_another_page_is_refused(operator: User, upscale: Ability) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    assert strict.post(PANEL + "run/", {"file-image_url": upload()}).status_code == 403
    assert not Task.objects.exists()


def test_text_results_are_shown_readable_and_harmless(desk: Client, upscale: Ability, operator: User) -> None:
    task_id = run(desk, **{"file-image_url": upload()}).json()["taskId"]
    texts = [json.dumps({"ok": "<script>alert(1)</script>", "n": 2}), "# Head\n- **bold** `x`\n<img src=x>"]
    Task.objects.filter(pk=task_id).update(result={"texts": texts, "raw": {"token": "secret", "a": 1}})
    html = desk.get(f"/admin/abilities/task/{task_id}/live/?part=result").content.decode()
    assert '<span class="podi-json-key">&quot;ok&quot;</span>' in html
    assert "<h4>Head</h4>" in html
    assert "<li><strong>bold</strong> <code>x</code></li>" in html
    assert "<script>" not in html
    assert "<img src=x>" not in html
    assert "secret" not in html
