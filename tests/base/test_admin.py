"""The admin of accounts, and through it the bases every other admin stands on."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django import forms
from django.contrib.admin import AdminSite
from django.contrib.messages import get_messages
from django.test import Client

from executors.models import ApiKey
from podi.base import services, sessions
from podi.base.admin import BoundedPaginator, ServiceAdmin, WriteOnlyField
from podi.base.admin.bases import COUNTED_ROWS
from podi.base.models import ApiToken, LoginSession, User

pytestmark = pytest.mark.django_db
TOKENS = "/admin/base/apitoken/"
USERS = "/admin/base/user/"


@pytest.fixture(autouse=True)
def plain_static(settings: Any) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("olga", password="invented-password-2")


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def token_form(user: User, **values: Any) -> dict[str, Any]:
    return {"name": "shop", "user": user.pk, "allowed_ips": "", **values}


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_token_is_issued_and_its_text_shown_exactly_once(desk: Client, operator: User) -> None:
    values = token_form(operator, scopes=["tasks:read", "admin"], allowed_ips="10.0.0.0/8\n\n 2001:db8::1 \n")
    response = desk.post(TOKENS + "add/", values, follow=True)
    page = response.content.decode()
    text = re.search(r"<code>(podi_[\w-]+)</code>", page)
    assert text, page
    token = ApiToken.objects.get()
    assert token.token_hash == services.hash_token(text[1])
    assert (token.scopes, token.allowed_ips) == (["tasks:read", "admin"], ["10.0.0.0/8", "2001:db8::1"])
    for path in (TOKENS, f"{TOKENS}{token.pk}/change/"):
        assert text[1] not in desk.get(path).content.decode()


def test_a_refusal_of_the_service_is_an_error_at_its_field(desk: Client) -> None:
    ann = User.objects.create_user("ann")
    response = desk.post(TOKENS + "add/", token_form(ann, scopes=["admin"]))
    assert response.status_code == 200
    errors = response.context["adminform"].form.errors
    assert list(errors) == ["scopes"]
    assert "operator" in errors["scopes"][0]
    assert not ApiToken.objects.exists()


def test_wrong_addresses_are_refused_by_the_form(desk: Client, operator: User) -> None:
    response = desk.post(TOKENS + "add/", token_form(operator, allowed_ips="10.0.0.0/8\nthe office"))
    assert "the office" in response.context["adminform"].form.errors["allowed_ips"][0]
    assert not ApiToken.objects.exists()


def test_a_change_keeps_the_text_and_the_user(desk: Client, operator: User) -> None:
    ann = User.objects.create_user("ann")
    token, text = services.issue_token(operator, ann, name="shop", allowed_ips=["10.0.0.1"])
    page = desk.get(f"{TOKENS}{token.pk}/change/").content.decode()
    assert "10.0.0.1" in page
    values = token_form(operator, name="renamed", scopes=["tasks:read"], rate_per_minute=9)
    assert desk.post(f"{TOKENS}{token.pk}/change/", values).status_code == 302
    token.refresh_from_db()
    assert (token.name, token.user, token.rate_per_minute, token.allowed_ips) == ("renamed", ann, 9, [])
    assert token.token_hash == services.hash_token(text)


def test_a_revoked_token_stays_as_it_is(desk: Client, operator: User) -> None:
    token, _text = services.issue_token(operator, operator, name="shop")
    response = desk.post(TOKENS, {"action": "revoke", "_selected_action": [token.pk]}, follow=True)
    assert "1 token was revoked." in response.content.decode()
    response = desk.post(f"{TOKENS}{token.pk}/change/", token_form(operator, name="other"))
    assert "revoked" in response.context["adminform"].form.non_field_errors()[0]
    response = desk.post(TOKENS, {"action": "rotate", "_selected_action": [token.pk]})
    assert "revoked" in said(response)[0]
    token.refresh_from_db()
    assert (token.name, token.revoked_at is None) == ("shop", False)


def test_rotating_shows_the_new_text(desk: Client, operator: User) -> None:
    token, old = services.issue_token(operator, operator, name="shop")
    response = desk.post(TOKENS, {"action": "rotate", "_selected_action": [token.pk]})
    new = re.search(r"podi_[\w-]+", said(response)[0])
    assert new
    assert new[0] != old
    token.refresh_from_db()
    assert token.token_hash == services.hash_token(new[0])


def test_nothing_is_deleted_in_bulk_or_one_by_one(desk: Client, operator: User) -> None:
    token, _text = services.issue_token(operator, operator, name="shop")
    assert desk.post(f"{TOKENS}{token.pk}/delete/", {"post": "yes"}).status_code == 403
    desk.post(TOKENS, {"action": "delete_selected", "_selected_action": [token.pk], "post": "yes"})
    assert ApiToken.objects.count() == 1


def test_lists_cost_the_same_whatever_their_length(
    desk: Client, operator: User, django_assert_num_queries: Any
) -> None:
    for number in range(12):
        user = User.objects.create_user(f"user{number}")
        services.issue_token(operator, user, name=f"t{number}")
        sessions.open_session(user)
    with django_assert_num_queries(5):  # session, user, two counts, rows
        desk.get(TOKENS)
    with django_assert_num_queries(4):  # no second count of a large table
        desk.get("/admin/base/loginsession/")
    assert desk.get(USERS + "?q=user3").status_code == 200


def test_every_list_exports_without_secrets_or_formulas(desk: Client, operator: User) -> None:
    token, _text = services.issue_token(operator, operator, name="=1+1", scopes=["tasks:read"])
    chosen = {"_selected_action": [token.pk]}
    answer = desk.post(TOKENS, {"action": "export_csv", **chosen})
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0]["name"] == "'=1+1"
    assert json.loads(rows[0]["scopes"]) == ["tasks:read"]
    answer = desk.post(TOKENS, {"action": "export_json", **chosen})
    assert answer.json()[0]["name"] == "=1+1"
    assert token.token_hash not in answer.content.decode()
    answer = desk.post(USERS, {"action": "export_json", "_selected_action": [operator.pk]})
    assert "password" not in answer.json()[0]


def test_users_are_made_and_changed_through_the_service(desk: Client, operator: User) -> None:
    values = {"username": "ann", "password1": "long-invented-1", "password2": "long-invented-1", "is_staff": "on"}
    assert desk.post(USERS + "add/", {"usable_password": "true", **values}).status_code == 302
    ann = User.objects.get(username="ann")
    assert ann.is_staff
    assert ann.email is None
    response = desk.post(f"{USERS}{operator.pk}/change/", {"username": "olga", "metadata": "{}", "is_active": "on"})
    assert "your own access" in response.context["adminform"].form.non_field_errors()[0]
    operator.refresh_from_db()
    assert operator.is_superuser


def test_only_a_superuser_touches_superusers(client: Client, operator: User) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    from podi.base.errors import AdminOnly, Forbidden

    operator.first_name = "changed"
    with pytest.raises(Forbidden):
        services.save_user(clerk, operator)
    clerk.is_superuser = True
    with pytest.raises(Forbidden):
        services.save_user(User.objects.get(pk=clerk.pk), clerk)
    with pytest.raises(AdminOnly):
        services.save_user(User.objects.create_user("ann"), clerk)
    assert not User.objects.get(pk=clerk.pk).is_superuser


def test_logins_are_shown_read_only_and_can_be_ended(desk: Client, operator: User) -> None:
    sessions.open_session(operator, address="203.0.113.9")
    session = LoginSession.objects.get()
    path = "/admin/base/loginsession/"
    assert "203.0.113.9" in desk.get(path).content.decode()
    assert desk.get(f"{path}{session.pk}/change/").status_code == 200
    assert desk.post(f"{path}{session.pk}/change/", {"address": "x"}).status_code == 403
    assert desk.get(path + "add/").status_code == 403
    desk.post(path, {"action": "end", "_selected_action": [session.pk]})
    session.refresh_from_db()
    assert session.revoked_at is not None


def test_the_admins_login_slows_guesses_down_like_the_apis(client: Client, operator: User) -> None:
    path = "/admin/login/"
    for _ in range(5):
        client.post(path, {"username": "olga", "password": "wrong"})
    response = client.post(path, {"username": "olga", "password": "invented-password-2"})
    assert "Too many requests" in response.content.decode()
    assert "_auth_user_id" not in client.session
    elsewhere = client.post(path, {"username": "olga", "password": "invented-password-2"}, REMOTE_ADDR="203.0.113.5")
    assert elsewhere.status_code == 302
    assert "_auth_user_id" in client.session


class SecretForm(forms.Form):
    key = WriteOnlyField(required=True)
    note = WriteOnlyField()


def test_a_write_only_field_never_renders_and_blank_keeps() -> None:
    saved = {"key": "invented-secret", "note": ""}
    assert "invented-secret" not in SecretForm(initial=saved).as_p()
    kept = SecretForm({"key": "", "note": ""}, initial=saved)
    assert kept.is_valid()
    assert kept.cleaned_data == {"key": "invented-secret", "note": ""}
    assert "invented-secret" not in kept.as_p()
    assert not kept.has_changed()
    new = SecretForm({"key": "another-secret"}, initial=saved)
    assert new.is_valid()
    assert new.cleaned_data["key"] == "another-secret"
    assert "another-secret" not in new.as_p()
    assert "key" in SecretForm({"key": ""}).errors


def test_an_encrypted_field_is_write_only_in_every_service_admin(operator: User, rf: Any) -> None:
    class KeyAdmin(ServiceAdmin):
        fields = ("name", "key")

    request = rf.get("/")
    request.user = operator
    form_class = KeyAdmin(ApiKey, AdminSite()).get_form(request)
    page = form_class(instance=ApiKey(name="shown", key="invented-secret")).as_p()
    assert "shown" in page
    assert "invented-secret" not in page
    form = form_class({"name": "renamed", "key": ""}, instance=ApiKey(name="shown", key="invented-secret"))
    assert form.is_valid(), form.errors
    assert form.save(commit=False).key == "invented-secret"


def test_R30_a_very_large_list_is_not_counted_to_its_end(django_assert_num_queries: Any) -> None:
    User.objects.create_user("ann")
    paginator = BoundedPaginator(User.objects.order_by("pk"), 10)
    with django_assert_num_queries(1) as queries:
        assert paginator.count == 1
    assert f"LIMIT {COUNTED_ROWS}" in queries.captured_queries[0]["sql"]
