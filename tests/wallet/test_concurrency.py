"""Many clients at once, each thread with a connection of its own; on MariaDB by DATABASE_URL, else on a SQLite file."""

import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from podi.base.errors import PodiError
from podi.base.models import User
from tests.wallet.accounts import assert_sound, open_hold
from wallet import services as wallet
from wallet.errors import WalletHoldConflict, WalletInsufficient, WalletRefundTooLarge
from wallet.models import Account, Hold, Transfer

pytestmark = [pytest.mark.django_db(transaction=True)]

CLIENTS = 64


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Every call in a thread of its own, all let go together; answers and refusals in the order of the calls."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            gate.wait()
            return call()
        except PodiError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_R26_64_parallel_clients_of_one_account_never_spend_a_point_twice(owner: User) -> None:
    """R26: 64 clients want 20 points each of 500; exactly 25 get them."""
    answers = at_once([lambda n=n: open_hold(owner, key=f"task:{n}", points=20) for n in range(CLIENTS)])
    assert sum(isinstance(answer, Hold) for answer in answers) == 25
    assert sum(isinstance(answer, WalletInsufficient) for answer in answers) == CLIENTS - 25
    now = wallet.balance(owner.pk)
    assert (now.available, now.held) == (0, 500)
    assert_sound()


def test_R26_64_parallel_clients_freeze_confirm_and_release_and_everything_adds_up(owner: User) -> None:
    """R26: whole lives of holds side by side, a part of them confirmed in part, every call sent twice."""

    def live(client: int) -> int:
        dice, deducted = random.Random(client), 0
        for turn in range(5):
            try:
                held = open_hold(owner, key=f"task:{client}:{turn}", points=dice.randint(1, 30))
            except WalletInsufficient:
                continue
            if dice.random() < 0.4:
                wallet.release(held.pk)
                wallet.release(held.pk)
                continue
            points = dice.randint(0, held.points)
            assert wallet.confirm(held.pk, points=points).deducted == points
            deducted += wallet.confirm(held.pk, points=points).deducted
        return deducted

    spent = sum(at_once([lambda n=n: live(n) for n in range(CLIENTS)]))
    now = wallet.balance(owner.pk)
    assert (now.available, now.held) == (500 - spent, 0)
    assert not Hold.objects.filter(state=Hold.State.HELD).exists()
    rows = list(wallet.transactions(owner.pk, page_size=1000).transfers)
    for newer, older in itertools.pairwise(rows):
        assert newer.owned_before == older.owned_after
    assert_sound()


def test_the_same_freeze_64_times_at_once_is_one_hold(owner: User) -> None:
    answers = at_once([lambda: open_hold(owner, points=500) for _ in range(CLIENTS)])
    assert {answer.pk for answer in answers} == {Hold.objects.get().pk}
    assert wallet.balance(owner.pk).held == 500
    assert_sound()


def test_confirm_and_release_raced_settle_once(owner: User) -> None:
    held = open_hold(owner, points=100)
    calls = [
        lambda: wallet.confirm(held.pk),
        lambda: wallet.release(held.pk),
        lambda: wallet.confirm(held.pk, points=1),
    ]
    answers = at_once(calls * 8)
    winners = {(answer.hold.state, answer.deducted) for answer in answers if not isinstance(answer, PodiError)}
    assert len(winners) == 1
    assert all(isinstance(answer, WalletHoldConflict) for answer in answers if isinstance(answer, PodiError))
    assert Transfer.objects.filter(kind=Transfer.Kind.CHARGE).count() <= 1
    assert_sound()


def test_the_signup_gift_is_given_once_when_the_first_looks_race(owner: User) -> None:
    answers = at_once([lambda: wallet.ensure_account(owner.pk) for _ in range(32)])
    assert len({answer.pk for answer in answers}) == 1
    assert wallet.balance(owner.pk).available == 500
    assert Transfer.objects.filter(kind=Transfer.Kind.SIGNUP).count() == 1
    assert_sound()


def test_a_grant_raced_with_its_own_repeats_is_given_once(owner: User, operator: User) -> None:
    terms = {"owner_id": owner.pk, "points": 70, "reason": "invoice", "key": "invoice-1"}
    answers = at_once([lambda: wallet.grant(operator, **terms) for _ in range(16)])
    assert len({answer.pk for answer in answers}) == 1
    assert wallet.balance(owner.pk).available == 570
    assert_sound()


def test_refunds_raced_never_give_back_more_than_was_taken(owner: User, operator: User) -> None:
    held = open_hold(owner, points=100)
    wallet.confirm(held.pk)

    def give(number: int) -> Transfer:
        return wallet.refund(operator, hold_id=held.pk, points=30, reason="blurred", key=f"r{number}")

    answers = at_once([lambda n=n: give(n) for n in range(16)])
    assert sum(isinstance(answer, Transfer) for answer in answers) == 3
    assert sum(isinstance(answer, WalletRefundTooLarge) for answer in answers) == 13
    assert wallet.balance(owner.pk).available == 490
    assert_sound()


def test_many_accounts_move_side_by_side_without_waiting_for_the_house(operator: User) -> None:
    """No call fails by a deadlock: the house's rows are never written."""
    owners = [User.objects.create(username=f"user {number}") for number in range(32)]

    def live(owner: User) -> str:
        try:
            wallet.grant(operator, owner_id=owner.pk, points=10, reason="x", key=owner.pk)
            for turn in range(3):
                wallet.confirm(open_hold(owner, key=str(turn)).pk)
        except OperationalError as error:
            return str(error)
        return "done"

    assert set(at_once([lambda o=o: live(o) for o in owners])) == {"done"}
    assert {account.balance for account in Account.objects.filter(owner__in=owners)} == {480}
    assert_sound()


def test_the_same_request_many_times_at_once_gets_one_answer(call, owner: User) -> None:
    body = {"userId": owner.pk, "taskId": "t_1", "points": 120}
    key = {"Idempotency-Key": "k-1"}
    answers = at_once([lambda: call(owner, "POST freeze", body, **key) for _ in range(16)])
    assert {(status, answer.get("holdId"), answer.get("balance")) for status, answer in answers} == {
        (200, f"hold_t_1_{owner.pk}", 380)
    }
    assert Hold.objects.count() == 1
    confirm = {"holdId": f"hold_t_1_{owner.pk}", "points": 100}
    answers = at_once([lambda: call(owner, "POST confirm", confirm) for _ in range(16)])
    assert all(answer == (200, {"success": True, "deducted": 100}) for answer in answers)
    assert_sound()


def test_a_database_that_stays_busy_is_told_as_such_and_nothing_changed(call, owner: User) -> None:
    """The row of the account is held by another transaction for longer than anybody should wait."""
    account = wallet.ensure_account(owner.pk)
    is_taken, may_end = threading.Event(), threading.Event()

    def block() -> None:
        with transaction.atomic():
            Account.objects.filter(pk=account.pk).update(held=0)
            is_taken.set()
            may_end.wait(30)
        connection.close()

    thread = threading.Thread(target=block)
    thread.start()
    is_taken.wait(10)
    is_sqlite = connection.vendor == "sqlite"
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 20" if is_sqlite else "SET innodb_lock_wait_timeout = 1")
        status, answer = call(owner, "POST freeze", {"userId": owner.pk, "taskId": "t_1", "points": 1})
    finally:
        may_end.set()
        thread.join()
        connection.close()
    assert (status, answer["detail"], answer["retryable"]) == (503, "WALLET_SERVICE_UNAVAILABLE", True)
    assert not Hold.objects.exists()
    assert call(owner, "POST freeze", {"userId": owner.pk, "taskId": "t_1", "points": 1})[0] == 200
    assert_sound()
