"""Abilities in the admin: saved through the services, problems at their place, versions, one click on and off."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from abilities import services
from abilities.models import Ability, AbilityVersion, Invocation, Task
from podi.base.models import User
from tests.abilities.rows import make_row

pytestmark = pytest.mark.django_db
LIST = "/admin/abilities/ability/"
PAGE = f"{LIST}podi_upscale_resize/change/"


@pytest.fixture(autouse=True)
def english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def form_of(ability: Ability, **changes: Any) -> dict[str, Any]:
    names = "provider category capability_key version display_name description status ability_type coze_workflow_id"
    values = {name: getattr(ability, name) for name in names.split()}
    values |= {"executor": ability.executor_id or "", "workflow": ability.workflow_id or ""}
    for name in ("default_params", "input_schema", "metadata"):
        values[name] = json.dumps(getattr(ability, name))
    return {**values, **changes}


def said(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def test_an_ability_is_made_through_the_service_with_its_first_version(desk: Client, operator: User) -> None:
    blank = Ability(provider="podi", category="c", capability_key="new_one", display_name="New")
    response = desk.post(LIST + "add/", form_of(blank, id="new_one"))
    assert response.status_code == 302, response.context["adminform"].form.errors
    version = AbilityVersion.objects.get(ability_id="new_one")
    assert (version.version, version.created_by) == ("v1", operator)


def test_a_changed_definition_becomes_a_version_and_a_changed_status_does_not(desk: Client, upscale: Ability) -> None:
    response = desk.post(PAGE, form_of(upscale, default_params='{"max_long_edge": 32}'))
    assert response.status_code == 302, response.context["adminform"].form.errors
    assert "version v2" in said(response)
    upscale.refresh_from_db()
    assert (upscale.version, upscale.default_params) == ("v2", {"max_long_edge": 32})
    assert desk.post(PAGE, form_of(upscale, status="inactive")).status_code == 302
    upscale.refresh_from_db()
    assert (upscale.version, upscale.status) == ("v2", "inactive")
    assert upscale.versions.count() == 2


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        (
            {"input_schema": '{"fields": [{"name": "a"}, {"name": "dpi", "type": "numbr"}]}'},
            "input_schema",
            "fields[1] (dpi)",
        ),
        ({"input_schema": '{"fields":\n [}'}, "input_schema", "Line 2, column 3"),
        ({"input_schema": "[1]"}, "input_schema", "JSON object"),
        ({"default_params": '{"max_long_edge": 0}'}, "default_params", "default_params.max_long_edge"),
        ({"metadata": "nonsense"}, "metadata", "Line 1"),
        ({"capability_key": ""}, "capability_key", "required"),
    ],
)
def test_a_problem_is_named_at_its_place_and_nothing_is_saved(
    desk: Client, upscale: Ability, changes: dict[str, str], field: str, words: str
) -> None:
    before = Ability.objects.values().get(pk=upscale.pk)
    response = desk.post(PAGE, form_of(upscale, **changes))
    assert response.status_code == 200
    assert words in response.context["adminform"].form.errors[field][0]
    assert Ability.objects.values().get(pk=upscale.pk) == before
    assert upscale.versions.count() == 1


def test_what_was_typed_stays_in_the_form_after_a_mistake(desk: Client, upscale: Ability) -> None:
    response = desk.post(PAGE, form_of(upscale, metadata='{"half": '))
    assert "{&quot;half&quot;:" in response.content.decode()


def test_a_taken_version_name_is_refused_by_the_service_at_its_field(desk: Client, upscale: Ability) -> None:
    desk.post(PAGE, form_of(upscale, default_params='{"max_long_edge": 32}'))
    upscale.refresh_from_db()
    response = desk.post(PAGE, form_of(upscale, default_params="{}", version="v1"))
    assert "exists already" in response.context["adminform"].form.errors["version"][0]
    upscale.refresh_from_db()
    assert upscale.version == "v2"


def test_versions_show_what_changed_and_an_old_one_becomes_current_again(
    desk: Client, upscale: Ability, operator: User
) -> None:
    services.update_ability(operator, upscale, default_params={"max_long_edge": 32})
    page = desk.get(PAGE).content.decode()
    assert '<span class="podi-diff-del">-    &quot;max_long_edge&quot;: 64' in page
    assert '<span class="podi-diff-add">+    &quot;max_long_edge&quot;: 32' in page
    response = desk.post(f"{LIST}podi_upscale_resize/versions/v1/")
    assert "Version v1 is the current one" in said(response)
    upscale.refresh_from_db()
    assert (upscale.version, upscale.default_params["max_long_edge"]) == ("v1", 64)
    assert upscale.versions.count() == 2
    assert "no such version" in said(desk.post(f"{LIST}podi_upscale_resize/versions/v7/"))


def test_one_click_switches_off_and_on(desk: Client, upscale: Ability) -> None:
    for status in ("inactive", "active"):
        response = desk.post(f"{LIST}podi_upscale_resize/toggle/?provider=podi")
        assert response["Location"].endswith("?provider=podi")
        upscale.refresh_from_db()
        assert upscale.status == status
    assert desk.get(f"{LIST}podi_upscale_resize/toggle/").status_code == 405
    assert desk.post(f"{LIST}nothing/toggle/").status_code == 404


def test_actions_switch_many_and_count_only_what_changed(desk: Client, upscale: Ability) -> None:
    off = make_row(Ability, status="inactive")
    values = {"action": "deactivate", "_selected_action": [upscale.pk, off.pk]}
    assert "1 ability is inactive" in said(desk.post(LIST, values))
    upscale.refresh_from_db()
    assert upscale.status == "inactive"


def test_those_who_may_only_look_change_nothing(client: Client, upscale: Ability, user: User) -> None:
    from django.contrib.auth.models import Permission

    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_ability"))
    client.force_login(User.objects.get(pk=user.pk))
    assert client.get(PAGE).status_code == 200
    assert client.post(f"{LIST}podi_upscale_resize/toggle/").status_code == 403
    assert client.post(f"{LIST}podi_upscale_resize/versions/v1/").status_code == 403
    assert client.post(PAGE, form_of(upscale, status="inactive")).status_code == 403
    upscale.refresh_from_db()
    assert upscale.status == "active"


def test_the_list_counts_calls_and_success_of_the_last_day(desk: Client, upscale: Ability) -> None:
    now = timezone.now()
    task = make_row(Task, ability=upscale)
    ages = [("success", 1), ("success", 2), ("failed", 3), ("pending", 4), ("failed", 30)]
    for attempt, (status, hours) in enumerate(ages, start=1):
        at = now - timedelta(hours=hours)
        make_row(Invocation, task=task, ability=upscale, attempt=attempt, status=status, created_at=at)
    row = services.with_recent_calls(Ability.objects.filter(pk=upscale.pk)).get()
    assert (row.recent_calls, row.recent_success, row.recent_failed) == (4, 2, 1)
    assert now - row.last_call_at < timedelta(hours=2)
    page = desk.get(LIST).content.decode()
    assert "67%" in page
    assert f"?ability={upscale.pk}&amp;when=24h" in page or f"?ability={upscale.pk}&when=24h" in page


def test_an_ability_with_tasks_is_kept(desk: Client, upscale: Ability) -> None:
    make_row(Task, ability=upscale)
    desk.post(f"{LIST}podi_upscale_resize/delete/", {"post": "yes"})
    assert Ability.objects.filter(pk=upscale.pk).exists()
