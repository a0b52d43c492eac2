"""The audit finds each kind of contradiction, says where, and alerts; a sound wallet stays quiet."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from podi.base.duties import declared
from podi.base.models import User
from podi.events.models import Event
from tests.wallet.accounts import open_hold
from wallet import services as wallet
from wallet.jobs import NightlyAudit, SweepHolds
from wallet.models import Account, AuditRun, Hold, Transfer

pytestmark = pytest.mark.django_db


def change(table: str, assignment: str, where: str = "1 = 1") -> None:
    """What a hand in the database could do; the models refuse it."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {assignment} WHERE {where}")


def test_a_sound_wallet_gives_no_alert(owner: User) -> None:
    wallet.confirm(open_hold(owner).pk, points=3)
    report = wallet.audit()
    assert (report.is_clean, report.accounts, report.open_holds, report.transfers, report.total) == (True, 3, 0, 2, 0)
    assert not Event.objects.filter(topic="wallet.audit").exists()
    assert AuditRun.objects.get().difference_count == 0


GROWN = "points = 9, owned_after = owned_before + 9"
DAMAGE: list[tuple[str, Callable[[], None]]] = [
    ("balance and held against transfers", lambda: change("wallet_accounts", "balance = balance + 1", "balance > 0")),
    ("sum of all accounts", lambda: change("wallet_accounts", "balance = balance + 1", "balance > 0")),
    ("held against open holds", lambda: change("wallet_accounts", "held = held + 1", "balance > 0")),
    ("held against open holds", lambda: change("wallet_holds", "state = 'released'", "state = 'held'")),
    ("deducted against its charge", lambda: change("wallet_holds", "deducted = 5", "deducted = 4")),
    ("deducted against its charge", lambda: change("wallet_transfers", "hold_id = NULL", "kind = 'charge'")),
    ("refunds against the original", lambda: change("wallet_transfers", GROWN, "kind = 'refund'")),
    ("open hold past its time", lambda: change("wallet_holds", "expires_at = '2020-01-01 00:00:00'", "state = 'held'")),
    ("open hold past its time", lambda: change("wallet_holds", "created_at = '2020-01-01 00:00:00'", "state = 'held'")),
]  # fmt: skip


@pytest.mark.parametrize(("check", "damage"), DAMAGE)
def test_every_kind_of_damage_is_found_and_told(owner: User, check: str, damage: Callable[[], None]) -> None:
    settled = open_hold(owner, key="settled")
    wallet.confirm(settled.pk, points=4)
    wallet.refund(None, hold_id=settled.pk, points=2, reason="blurred", key="r")
    open_hold(owner, key="open")
    assert wallet.audit().is_clean
    damage()
    report = wallet.audit()
    assert check in {difference.check for difference in report.differences}
    alert = Event.objects.get(topic="wallet.audit")
    assert (alert.owner, alert.payload["severity"]) == (None, "critical")
    assert alert.payload["differences"] == len(report.differences)


def test_the_command_prints_and_ends_badly_on_a_difference(owner: User, capsys) -> None:
    wallet.ensure_account(owner.pk)
    call_command("audit_wallet")
    assert "3 个账户，0 笔未结冻结，1 笔流水，全部账户合计 0。" in capsys.readouterr().out
    change("wallet_accounts", "balance = balance + 1", "balance > 0")
    with pytest.raises(CommandError):
        call_command("audit_wallet")


def test_the_nightly_audit_runs_once_a_day_and_is_taken_over_from_the_dead(settings) -> None:
    settings.WALLET_AUDIT_HOUR = 0
    for _ in range(3):
        NightlyAudit().run()
    run = AuditRun.objects.get()
    assert run.finished_at is not None
    now = timezone.now()
    assert wallet.audit_day(run.day, now=now + timedelta(hours=2)) is None
    AuditRun.objects.update(finished_at=None)
    assert wallet.audit_day(run.day, now=now) is None
    assert wallet.audit_day(run.day, now=now + timedelta(hours=2)) is not None


def test_the_duties_are_declared_and_sweep(owner: User) -> None:
    assert {SweepHolds, NightlyAudit} <= set(declared())
    open_hold(owner, expires_at=timezone.now() - timedelta(seconds=1))
    SweepHolds().run()
    assert Hold.objects.get().is_expired
    assert Account.objects.get(owner=owner).balance == 500
    assert Transfer.objects.count() == 1
