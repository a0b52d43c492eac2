"""A process that moves points is killed (SIGKILL): what was not committed never happened, nothing is half done."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone

from podi.base.models import User
from tests.wallet.accounts import assert_sound, open_hold
from wallet import services as wallet
from wallet.models import Hold, Transfer

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def owner() -> User:
    made = User.objects.create(username="anna")
    wallet.ensure_account(made.pk)
    return made


def find_database_url() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    login = f"{settings['USER']}:{quote(settings['PASSWORD'])}"
    return f"mysql://{login}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


@contextmanager
def client(owner: User, pause: str) -> Iterator[subprocess.Popen[str]]:
    """A child at work; killed at the latest when the block ends."""
    command = [sys.executable, "-m", "tests.wallet.dying_client", owner.pk, pause]
    env = {**os.environ, "DATABASE_URL": find_database_url(), "DJANGO_SETTINGS_MODULE": "podi.settings"}
    child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        kill(child)
        child.stdout.close()


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()


def read_until(child: subprocess.Popen[str], word: str) -> None:
    for line in child.stdout:
        if line.split()[0] == word:
            return
    raise AssertionError(f"the child ended before it said {word!r}")


def test_R26_killed_inside_the_hold_nothing_was_held(owner: User) -> None:
    """R26: points survive a restart, and a half-made hold does not."""
    with client(owner, "held") as child:
        read_until(child, "held")
        kill(child)
    now = wallet.balance(owner.pk)
    assert (now.available, now.held) == (500, 0)
    assert not Hold.objects.exists()
    open_hold(owner, points=500)  # no lock is left behind
    assert_sound()


def test_R26_killed_between_hold_and_confirm_the_hold_is_still_there_and_can_be_settled(owner: User) -> None:
    """R26: after a restart the open hold was 404."""
    with client(owner, "between") as child:
        read_until(child, "between")
        kill(child)
    held = Hold.objects.get()
    assert wallet.balance(owner.pk).held == 7
    assert wallet.confirm(held.pk).deducted == 7
    assert_sound()


def test_killed_inside_the_settlement_the_hold_stays_open(owner: User) -> None:
    with client(owner, "settled") as child:
        read_until(child, "settled")
        kill(child)
    assert wallet.balance(owner.pk).held == 7
    assert not Transfer.objects.filter(kind=Transfer.Kind.CHARGE).exists()
    wallet.release(Hold.objects.get().pk)
    assert wallet.balance(owner.pk).available == 500
    assert_sound()


def test_killed_anywhere_at_work_everything_still_adds_up(owner: User) -> None:
    wallet.grant(None, owner_id=owner.pk, points=1_000_000, reason="test", key="test")
    with client(owner, "never") as first, client(owner, "never") as second:
        for child in (first, second):
            read_until(child, "turn")
        time.sleep(0.3)
        for child in (first, second):
            kill(child)
    assert_sound()
    assert Hold.objects.filter(state=Hold.State.HELD).count() <= 2
    Hold.objects.filter(state=Hold.State.HELD).update(expires_at=timezone.now())
    wallet.release_expired(timezone.now(), 10)
    assert wallet.balance(owner.pk).held == 0
    assert_sound()
