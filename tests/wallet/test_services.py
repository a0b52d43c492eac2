"""What each command of the wallet does, refuses, and answers when it is repeated."""

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone

from podi.base.errors import AdminOnly
from podi.base.models import User
from podi.events.models import Event
from tests.wallet.accounts import assert_sound, open_hold
from wallet import services as wallet
from wallet.errors import (
    TransferImmutable,
    WalletAccountNotFound,
    WalletHoldConflict,
    WalletHoldNotFound,
    WalletInsufficient,
    WalletNotRefundable,
    WalletPointsInvalid,
    WalletReasonMissing,
    WalletRefundTooLarge,
    WalletTransferConflict,
    WalletTransferNotFound,
)
from wallet.models import Account, Hold, Transfer

pytestmark = pytest.mark.django_db


def figures(owner: User) -> tuple[int, int]:
    now = wallet.balance(owner.pk)
    return now.available, now.held


def test_the_first_look_opens_the_account_with_the_signup_gift_once(owner: User) -> None:
    for _ in range(3):
        wallet.ensure_account(owner.pk)
    assert figures(owner) == (500, 0)
    assert [row.kind for row in Transfer.objects.all()] == [Transfer.Kind.SIGNUP]
    assert_sound()


def test_without_a_signup_gift_the_account_is_empty(owner: User, settings) -> None:
    settings.WALLET_SIGNUP_POINTS = 0
    assert figures(owner) == (0, 0)
    assert not Transfer.objects.exists()


def test_there_is_no_account_without_a_user() -> None:
    with pytest.raises(WalletAccountNotFound):
        wallet.hold(owner_id="nobody", points=1, key="task:1", subject=("task", "1"))
    assert not Account.objects.exists()


def test_a_hold_moves_points_from_free_to_held_and_makes_no_transfer(owner: User) -> None:
    held = open_hold(owner, points=120)
    assert held.state == Hold.State.HELD
    assert figures(owner) == (380, 120)
    assert Transfer.objects.count() == 1
    assert_sound()


def test_a_repeated_hold_returns_the_first_one_even_when_the_account_is_empty_by_now(owner: User) -> None:
    first = open_hold(owner, points=500)
    assert open_hold(owner, points=500).pk == first.pk
    assert figures(owner) == (0, 500)


@pytest.mark.parametrize("other", [{"points": 7}, {"subject": ("task", "2")}, {"action": "other"}, {"channel": "x"}])
def test_the_same_key_with_other_terms_is_a_conflict_and_holds_nothing(owner: User, other: dict) -> None:
    open_hold(owner, points=5)
    with pytest.raises(WalletHoldConflict):
        open_hold(owner, **{"points": 5, **other})
    assert figures(owner) == (495, 5)
    assert Hold.objects.count() == 1


def test_keys_differ_by_case(owner: User) -> None:
    assert open_hold(owner, key="task:a").pk != open_hold(owner, key="task:A").pk
    assert Hold.objects.count() == 2


def test_two_owners_may_use_the_same_key(owner: User, operator: User) -> None:
    assert open_hold(owner).pk != open_hold(operator).pk


def test_too_few_points_hold_nothing(owner: User) -> None:
    with pytest.raises(WalletInsufficient):
        open_hold(owner, points=501)
    assert figures(owner) == (500, 0)
    assert not Hold.objects.exists()


@pytest.mark.parametrize("points", [0, -1, 1.5, "5", True, None, 1_000_000_001])
def test_points_that_are_no_whole_positive_number_are_refused(owner: User, points: object) -> None:
    with pytest.raises(WalletPointsInvalid):
        open_hold(owner, points=points)
    assert not Account.objects.exists()


def test_confirming_all_takes_all_and_a_repeat_takes_nothing_more(owner: User) -> None:
    held = open_hold(owner, points=100)
    for _ in range(3):
        settled = wallet.confirm(held.pk)
        assert (settled.deducted, settled.released, settled.balance) == (100, 0, 400)
    assert figures(owner) == (400, 0)
    assert Transfer.objects.filter(kind=Transfer.Kind.CHARGE).count() == 1
    assert_sound()


def test_three_of_four_pictures_are_charged_and_the_rest_is_free_again(owner: User) -> None:
    held = open_hold(owner, points=40)
    for _ in range(2):
        settled = wallet.confirm(held.pk, points=30)
        assert (settled.deducted, settled.released, settled.balance) == (30, 10, 470)
    assert figures(owner) == (470, 0)
    assert_sound()


def test_confirming_nothing_frees_all_without_a_transfer(owner: User) -> None:
    settled = wallet.confirm(open_hold(owner).pk, points=0)
    assert (settled.deducted, settled.balance) == (0, 500)
    assert not Transfer.objects.filter(kind=Transfer.Kind.CHARGE).exists()
    assert_sound()


def test_more_than_was_held_is_never_taken(owner: User) -> None:
    held = open_hold(owner, points=40)
    with pytest.raises(WalletHoldConflict):
        wallet.confirm(held.pk, points=41)
    assert figures(owner) == (460, 40)


def test_releasing_gives_all_back_and_a_repeat_gives_nothing_more(owner: User) -> None:
    held = open_hold(owner, points=100)
    for _ in range(3):
        settled = wallet.release(held.pk)
        assert (settled.deducted, settled.released, settled.balance) == (0, 100, 500)
    assert_sound()


def test_a_settled_hold_is_not_settled_otherwise(owner: User) -> None:
    released, confirmed = open_hold(owner, key="a", points=10), open_hold(owner, key="b", points=10)
    wallet.release(released.pk)
    wallet.confirm(confirmed.pk, points=4)
    for call in (
        lambda: wallet.confirm(released.pk),
        lambda: wallet.release(confirmed.pk),
        lambda: wallet.confirm(confirmed.pk),
        lambda: wallet.confirm(confirmed.pk, points=5),
    ):
        with pytest.raises(WalletHoldConflict):
            call()
    assert figures(owner) == (496, 0)
    assert_sound()


def test_an_unknown_hold_is_not_found() -> None:
    for call in (wallet.confirm, wallet.release):
        with pytest.raises(WalletHoldNotFound):
            call("nothing")


def test_R26_a_release_pays_the_owner_whose_id_ends_like_another_ones(db) -> None:
    """R26: the hold of `team_7` is given back to `team_7`; the user `7` gets nothing."""
    team, seven = User.objects.create(id="team_7", username="team"), User.objects.create(id="7", username="seven")
    wallet.ensure_account(seven.pk)
    held = open_hold(team, points=100, subject=("task", "t1"))
    assert held.reference == "hold_t1_team_7"
    wallet.release(held.pk)
    assert figures(team) == (500, 0)
    assert figures(seven) == (500, 0)


def test_R26_two_pairs_of_ids_that_spell_the_same_hold_id_stay_two_holds() -> None:
    """R26: task `t_team` of `7` and task `t` of `team_7` both spell hold_t_team_7."""
    team, seven = User.objects.create(id="team_7", username="team"), User.objects.create(id="7", username="seven")
    first = open_hold(team, subject=("task", "t"))
    second = open_hold(seven, subject=("task", "t_team"))
    assert first.reference == "hold_t_team_7"
    assert second.reference == f"hold_{second.pk}"
    wallet.release(first.pk)
    assert figures(seven) == (490, 10)


def test_R26_a_second_freeze_of_a_task_does_not_lose_the_first(owner: User) -> None:
    """R26: freezing the same task twice charged twice and lost the first hold."""
    first = open_hold(owner, points=300)
    again = open_hold(owner, points=300)
    assert again.pk == first.pk
    wallet.release(first.pk)
    assert figures(owner) == (500, 0)


def test_settling_tells_the_owner(owner: User) -> None:
    wallet.confirm(open_hold(owner, key="a", points=10, subject=("task", "t1")).pk, points=6)
    wallet.release(open_hold(owner, key="b", points=10, subject=("task", "t2")).pk)
    told = Event.objects.filter(topic="wallet.points").order_by("id")
    assert [(row.subject_id, row.payload["status"], row.payload["points"], row.payload["balance"]) for row in told] == [
        ("t1", "deducted", 6, 494),
        ("t2", "released", 10, 494),
    ]
    assert {row.owner_id for row in told} == {owner.pk}


def test_a_clients_own_hold_never_appears_on_a_task(owner: User) -> None:
    """A client chooses the task id of its own hold, so it could name another's task."""
    held = open_hold(owner, subject=("task", "of-somebody"), is_external=True)
    wallet.release(held.pk)
    assert Event.objects.get().subject_type == "hold"


def test_a_grant_needs_an_operator_and_a_reason(owner: User, operator: User) -> None:
    with pytest.raises(AdminOnly):
        wallet.grant(owner, owner_id=owner.pk, points=5, reason="please", key="1")
    with pytest.raises(WalletReasonMissing):
        wallet.grant(operator, owner_id=owner.pk, points=5, reason="  ", key="1")
    assert not Transfer.objects.exists()


def test_a_repeated_grant_returns_the_first_and_other_terms_conflict(owner: User, operator: User) -> None:
    first = wallet.grant(operator, owner_id=owner.pk, points=50, reason="invoice 12", key="invoice-12")
    assert wallet.grant(operator, owner_id=owner.pk, points=50, reason="invoice 12", key="invoice-12").pk == first.pk
    for other in ({"points": 51}, {"reason": "invoice 13"}, {"owner_id": operator.pk}):
        terms = {"owner_id": owner.pk, "points": 50, "reason": "invoice 12", **other}
        with pytest.raises(WalletTransferConflict):
            wallet.grant(operator, **terms, key="invoice-12")
    assert figures(owner) == (550, 0)
    assert (first.actor, first.reason, first.owned_before, first.owned_after) == (operator, "invoice 12", 500, 550)
    assert_sound()


def test_a_refund_is_a_new_transfer_and_never_more_than_was_taken(owner: User, operator: User) -> None:
    held = open_hold(owner, points=100)
    wallet.confirm(held.pk, points=80)
    first = wallet.refund(operator, hold_id=held.pk, points=50, reason="two blurred", key="r1")
    assert wallet.refund(operator, hold_id=held.pk, points=50, reason="two blurred", key="r1").pk == first.pk
    charge = Transfer.objects.get(kind=Transfer.Kind.CHARGE)
    with pytest.raises(WalletRefundTooLarge):
        wallet.refund(operator, transfer_id=charge.pk, points=31, reason="all", key="r2")
    assert figures(owner) == (470, 0)
    wallet.refund(operator, transfer_id=charge.pk, points=30, reason="all", key="r3")
    assert figures(owner) == (500, 0)
    assert charge.points == 80
    assert_sound()


def test_a_wrong_grant_is_taken_back_as_far_as_it_is_unspent(owner: User, operator: User) -> None:
    granted = wallet.grant(operator, owner_id=owner.pk, points=1000, reason="typo", key="g")
    open_hold(owner, points=900)
    with pytest.raises(WalletInsufficient):
        wallet.refund(operator, transfer_id=granted.pk, points=1000, reason="typo", key="c1")
    taken = wallet.refund(operator, transfer_id=granted.pk, points=600, reason="typo", key="c2")
    assert taken.kind == Transfer.Kind.CORRECTION
    assert figures(owner) == (0, 900)
    assert_sound()


def test_what_took_nothing_cannot_be_refunded(owner: User, operator: User) -> None:
    held = open_hold(owner, points=10)
    terms = {"points": 1, "reason": "x", "key": "k"}
    with pytest.raises(WalletNotRefundable):
        wallet.refund(operator, hold_id=held.pk, **terms)
    with pytest.raises(WalletTransferNotFound):
        wallet.refund(operator, transfer_id=10**9, **terms)
    wallet.confirm(held.pk)
    refunded = wallet.refund(operator, hold_id=held.pk, **terms)
    with pytest.raises(WalletNotRefundable):
        wallet.refund(operator, transfer_id=refunded.pk, points=1, reason="x", key="k2")


def test_a_transfer_is_never_changed_nor_deleted(owner: User) -> None:
    wallet.ensure_account(owner.pk)
    row = Transfer.objects.get()
    row.points = 9999
    with pytest.raises(TransferImmutable):
        row.save()
    with pytest.raises(TransferImmutable):
        row.delete()
    with pytest.raises(TransferImmutable):
        Transfer.objects.all().delete()
    with pytest.raises(TransferImmutable):
        Transfer.objects.update(points=1)
    with pytest.raises(TransferImmutable):
        Transfer.objects.bulk_update([row], ["points"])
    assert Transfer.objects.get().points == 500


def test_the_sweeper_releases_what_is_due_and_nothing_else(owner: User) -> None:
    now = timezone.now()
    for number in range(5):
        open_hold(owner, key=f"due-{number}", points=10, expires_at=now - timedelta(seconds=number))
    open_hold(owner, key="later", points=10, expires_at=now + timedelta(hours=1))
    open_hold(owner, key="never", points=10)
    assert wallet.release_expired(now, 3) == 3
    assert wallet.release_expired(now, 100) == 2
    assert wallet.release_expired(now, 100) == 0
    assert figures(owner) == (480, 20)
    assert Hold.objects.filter(is_expired=True, state=Hold.State.RELEASED).count() == 5
    assert_sound()


def test_a_broken_hold_does_not_stop_the_sweep_of_the_others(owner: User, operator: User) -> None:
    """As R4: what cannot be done must not stand at the head of every batch."""
    now = timezone.now()
    open_hold(owner, key="broken", points=10, expires_at=now - timedelta(hours=2))
    Account.objects.filter(owner=owner).update(held=0)
    for number in range(3):
        open_hold(operator, key=f"due-{number}", points=10, expires_at=now)
    assert wallet.release_expired(now, 2) == 2
    assert wallet.release_expired(now, 2) == 1


def test_gifts_are_spent_before_what_was_granted(owner: User, operator: User) -> None:
    wallet.grant(operator, owner_id=owner.pk, points=100, reason="paid", key="g")
    wallet.confirm(open_hold(owner, key="a", points=450).pk)
    now = wallet.balance(owner.pk)
    assert (now.available, now.gifted, now.recharged, now.granted_today) == (150, 50, 100, 600)
    wallet.confirm(open_hold(owner, key="b", points=70).pk)
    now = wallet.balance(owner.pk)
    assert (now.available, now.gifted, now.recharged) == (80, 0, 80)


def test_the_statement_pages_newest_first_and_every_row_continues_the_one_before(owner: User) -> None:
    for number in range(6):
        wallet.confirm(open_hold(owner, key=str(number), points=10 + number).pk)
    pages = [wallet.transactions(owner.pk, page=page, page_size=3) for page in (1, 2, 3, 4)]
    assert [page.total for page in pages] == [7] * 4
    rows = [row for page in pages for row in page.transfers]
    assert [row.pk for row in rows] == sorted((row.pk for row in rows), reverse=True)
    assert [len(page.transfers) for page in pages] == [3, 3, 1, 0]
    for newer, older in itertools.pairwise(rows):
        assert newer.owned_before == older.owned_after
    assert rows[0].owned_after == wallet.balance(owner.pk).available


def test_statistics_add_up_a_life_and_thirty_days(owner: User, operator: User) -> None:
    held = open_hold(owner, points=100)
    wallet.confirm(held.pk)
    wallet.refund(operator, hold_id=held.pk, points=40, reason="x", key="x")
    found = wallet.statistics(owner.pk)
    assert (found.granted, found.charged, found.refunded) == (500, 100, 40)
    assert len(found.days) == 30
    assert (found.days[-1].received, found.days[-1].charged) == (500, 100)
    assert sum(day.charged for day in found.days) == 100


def test_a_balance_costs_two_queries(owner: User, django_assert_num_queries) -> None:
    wallet.ensure_account(owner.pk)
    with django_assert_num_queries(2):
        wallet.balance(owner.pk)
