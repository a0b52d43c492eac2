"""The wallet's admin: it shows, grants and gives back through the services, and edits nothing."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from podi.base.models import User
from tests.wallet.accounts import assert_sound, open_hold
from wallet import services as wallet
from wallet.models import Account, AuditRun, Hold, Transfer

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def key_of(answer) -> str:
    return re.search(r'name="key" value="([0-9a-f]{32})"', answer.content.decode())[1]


def test_every_list_and_page_shows(page: Client, owner: User) -> None:
    wallet.confirm(open_hold(owner).pk, points=3)
    wallet.audit()
    for model in (Account, Hold, Transfer, AuditRun):
        name = f"admin:wallet_{model._meta.model_name}"
        assert page.get(reverse(f"{name}_changelist")).status_code == 200
        for row in model.objects.all():
            assert page.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
    statistics = page.get(reverse("admin:wallet_account_statistics"))
    assert statistics.status_code == 200
    assert "<svg" in statistics.content.decode()


def test_nothing_can_be_added_changed_or_deleted_by_hand(page: Client, owner: User) -> None:
    held = open_hold(owner)
    for row in (held, held.account, Transfer.objects.get()):
        name = f"admin:wallet_{row._meta.model_name}"
        assert page.get(reverse(f"{name}_add")).status_code == 403
        assert page.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        assert page.post(reverse(f"{name}_change", args=[row.pk]), {"points": 1, "balance": 1}).status_code == 403
    assert wallet.balance(owner.pk).available == 490


def test_chosen_accounts_are_granted_points_with_a_reason_and_a_double_click_gives_once(
    page: Client, owner: User, operator: User
) -> None:
    account = wallet.ensure_account(owner.pk)
    chosen = page.post(
        reverse("admin:wallet_account_changelist"),
        {"action": "grant_points", "_selected_action": [account.pk, "house_issue"]},
    )
    assert chosen.status_code == 302
    form = page.get(chosen.url)
    assert f'value="{owner.pk}" selected' in form.content.decode()
    body = {"owners": [owner.pk], "points": 70, "reason": "invoice 12", "key": key_of(form)}
    for _ in range(2):
        assert page.post(chosen.url, body).status_code == 302
    row = Transfer.objects.get(kind=Transfer.Kind.GRANT)
    assert (row.points, row.reason, row.actor) == (70, "invoice 12", operator)
    assert_sound()


def test_a_grant_without_a_reason_is_not_made(page: Client, owner: User) -> None:
    url = reverse("admin:wallet_account_grant")
    answer = page.post(url, {"owners": [owner.pk], "points": 70, "reason": " ", "key": "k"})
    assert answer.status_code == 200
    assert not Transfer.objects.exists()


def test_a_user_without_an_account_is_granted_one(page: Client, owner: User) -> None:
    url = reverse("admin:wallet_account_grant")
    assert page.post(url, {"owners": [owner.pk], "points": 5, "reason": "x", "key": "k"}).status_code == 302
    assert wallet.balance(owner.pk).available == 505


def test_a_charge_is_given_back_and_too_much_is_told_on_the_form(page: Client, owner: User) -> None:
    wallet.confirm(open_hold(owner, points=100).pk)
    charge = Transfer.objects.get(kind=Transfer.Kind.CHARGE)
    url = reverse("admin:wallet_transfer_refund", args=[charge.pk])
    assert page.post(url, {"points": 60, "reason": "blurred", "key": "a"}).status_code == 302
    answer = page.post(url, {"points": 60, "reason": "blurred", "key": "b"})
    assert answer.status_code == 200
    assert "errornote" in answer.content.decode()
    assert wallet.balance(owner.pk).available == 460
    assert_sound()


def test_an_operator_without_the_permission_moves_nothing(owner: User) -> None:
    client, viewer = Client(), User.objects.create(username="vera", is_staff=True)
    client.force_login(viewer)
    wallet.ensure_account(owner.pk)
    body = {"owners": [owner.pk], "points": 70, "reason": "x", "key": "k", "transfer": "1"}
    assert client.post(reverse("admin:wallet_account_grant"), body).status_code == 403
    refund = reverse("admin:wallet_transfer_refund", args=[Transfer.objects.get().pk])
    assert client.post(refund, body).status_code == 403
    assert client.get(reverse("admin:wallet_account_statistics")).status_code == 403
    assert wallet.balance(owner.pk).available == 500


@pytest.mark.parametrize("model", ["account", "hold", "transfer"])
def test_a_longer_list_costs_no_more_queries(page: Client, model: str, django_assert_max_num_queries) -> None:
    for number in range(12):
        user = User.objects.create(username=f"user {number}")
        wallet.confirm(open_hold(user).pk)
    with django_assert_max_num_queries(12):
        assert page.get(reverse(f"admin:wallet_{model}_changelist")).status_code == 200
