"""Whatever is called in whatever order: points sum to zero, nothing is negative, no hold leaks (hypothesis)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podi.base.errors import PodiError
from podi.base.models import User
from tests.wallet.accounts import assert_sound
from wallet import services as wallet
from wallet.models import Hold, Transfer

OWNERS = ("team_7", "7")
KEYS = st.sampled_from(["a", "b", "c", "d"])
OWNER = st.sampled_from(OWNERS)
POINTS = st.sampled_from([1, 3, 40, 499, 500, 501])

STEP = st.one_of(
    st.tuples(st.just("hold"), OWNER, KEYS, POINTS),
    st.tuples(st.just("expiring"), OWNER, KEYS, POINTS),
    st.tuples(st.just("confirm"), OWNER, KEYS, st.one_of(st.none(), POINTS, st.just(0))),
    st.tuples(st.just("release"), OWNER, KEYS, st.none()),
    st.tuples(st.just("grant"), OWNER, KEYS, POINTS),
    st.tuples(st.just("refund"), OWNER, KEYS, POINTS),
    st.tuples(st.just("sweep"), OWNER, KEYS, st.none()),
)


@dataclass
class Book:
    """The same wallet, written down as simply as it can be."""

    free: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OWNERS, 500))
    holds: dict[tuple[str, str], tuple[int, str, int]] = field(default_factory=dict)
    refunds: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    grants: dict[str, tuple[str, int]] = field(default_factory=dict)
    expiring: set[tuple[str, str]] = field(default_factory=set)

    def held(self, owner: str) -> int:
        return sum(points for (who, _), (points, state, _) in self.holds.items() if who == owner and state == "held")

    def hold(self, owner: str, key: str, points: int) -> bool:
        known = self.holds.get((owner, key))
        if known is not None:
            return known[0] == points
        if self.free[owner] < points:
            return False
        self.free[owner] -= points
        self.holds[owner, key] = (points, "held", 0)
        return True

    def settle(self, owner: str, key: str, state: str, deducted: int | None) -> bool:
        if (owner, key) not in self.holds:
            return False
        points, now, before = self.holds[owner, key]
        wanted = points if deducted is None else deducted
        if wanted > points:
            return False
        if now != "held":
            return now == state and before == wanted
        self.free[owner] += points - wanted
        self.holds[owner, key] = (points, state, wanted)
        return True

    def grant(self, owner: str, key: str, points: int) -> bool:
        if key in self.grants:
            return self.grants[key] == (owner, points)
        self.grants[key] = (owner, points)
        self.free[owner] += points
        return True

    def refund(self, owner: str, key: str, points: int) -> bool:
        _, state, deducted = self.holds.get((owner, key), (0, "none", 0))
        if state != "confirmed" or not deducted:
            return False
        name = (owner, key)
        if name in self.refunds:
            return self.refunds[name][1] == points
        if points > deducted:
            return False
        self.refunds[name] = (owner, points)
        self.free[owner] += points
        return True

    def sweep(self) -> bool:
        for owner, key in self.expiring:
            _points, state, _ = self.holds[owner, key]
            if state == "held":
                self.settle(owner, key, "released", 0)
        return True


def apply_to_book(book: Book, step: tuple[str, str, str, int | None]) -> bool:
    command, owner, key, points = step
    if command in ("hold", "expiring"):
        is_new = (owner, key) not in book.holds
        done = book.hold(owner, key, points or 0)
        if done and is_new and command == "expiring":
            book.expiring.add((owner, key))
        return done
    if command == "confirm":
        return book.settle(owner, key, "confirmed", points)
    if command == "release":
        return book.settle(owner, key, "released", 0)
    if command == "sweep":
        return book.sweep()
    return getattr(book, command)(owner, key, points)


def apply_to_wallet(operator: User, step: tuple[str, str, str, int | None]) -> bool:
    command, owner, key, points = step
    now = timezone.now()
    opened = wallet.find_hold(owner_id=owner, key=key)
    hold_id = opened.pk if opened else "none"
    try:
        if command in ("hold", "expiring"):
            expires_at = now - timedelta(seconds=1) if command == "expiring" else None
            wallet.hold(owner_id=owner, points=points or 0, key=key, subject=("task", key), expires_at=expires_at)
        elif command == "confirm":
            wallet.confirm(hold_id, points=points)
        elif command == "release":
            wallet.release(hold_id)
        elif command == "grant":
            wallet.grant(operator, owner_id=owner, points=points or 0, reason="test", key=key)
        elif command == "refund":
            wallet.refund(operator, hold_id=hold_id, points=points or 0, reason="test", key=f"{owner}/{key}")
        else:
            wallet.release_expired(now, 100)
    except PodiError:
        return False
    return True


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=25), repeat=st.booleans())
def test_any_sequence_ends_as_the_book_says_and_every_call_may_come_twice(steps, repeat: bool) -> None:
    with transaction.atomic():
        for owner in OWNERS:
            User.objects.create(id=owner, username=f"user {owner}")
        operator = User.objects.create(username="olga", is_staff=True)
        book = Book()
        for step in steps:
            expected = apply_to_book(book, step)
            assert apply_to_wallet(operator, step) == expected, step
            if repeat and step[0] != "sweep":
                assert apply_to_book(book, step) == expected
                assert apply_to_wallet(operator, step) == expected, f"{step} repeated"
        for owner in OWNERS:
            now = wallet.balance(owner)
            assert (now.available, now.held) == (book.free[owner], book.held(owner))
        assert_sound()
        charged = sum(deducted for _, _, deducted in book.holds.values())
        assert sum(row.points for row in Transfer.objects.filter(kind=Transfer.Kind.CHARGE)) == charged
        assert Hold.objects.count() == len(book.holds)
        transaction.set_rollback(True)
