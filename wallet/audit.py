"""Adds everything up. Each check is one statement, so it sees one moment of the database even while points move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from podi.events import services as events
from wallet.models import Account, AuditRun, Hold, Transfer
from wallet.results import AuditReport, Difference

OVERDUE = timedelta(hours=1)
"""An expired hold that is still open after this means that nobody sweeps."""
MAX_AGE = timedelta(days=30)
"""A hold without expiry that is open after this has lost its task."""
SHOWN_PER_CHECK = 100
TAKE_OVER = timedelta(hours=1)


def audit(*, now: datetime | None = None) -> AuditReport:
    """Compare accounts, holds and transfers, and keep the report as an AuditRun.

    A difference is also recorded as the operators' alert `wallet.audit`.
    """
    run = AuditRun.objects.create(started_at=now or timezone.now())
    return _fill(run)


def audit_day(day: date, *, now: datetime) -> AuditReport | None:
    """The nightly audit, once per day however many processes ask; None when it is done or under way elsewhere.

    A run that was not finished within an hour belonged to a process that died; the next caller takes it over.
    """
    run, is_new = AuditRun.objects.get_or_create(day=day, defaults={"started_at": now})
    if not is_new:
        abandoned = AuditRun.objects.filter(pk=run.pk, finished_at=None, started_at__lt=now - TAKE_OVER)
        if not abandoned.update(started_at=now):
            return None
        run.started_at = now
    return _fill(run)


def _fill(run: AuditRun) -> AuditReport:
    report = _compare(run.started_at)
    shown = [
        {"check": item.check, "subjectId": item.subject_id, "expected": item.expected, "found": item.found}
        for item in report.differences
    ]
    with transaction.atomic():
        AuditRun.objects.filter(pk=run.pk).update(
            finished_at=timezone.now(),
            accounts=report.accounts,
            open_holds=report.open_holds,
            transfers=report.transfers,
            difference_count=len(shown),
            differences=shown,
        )
        if shown:
            payload = {"severity": "critical", "auditId": run.pk, "differences": len(shown), "first": shown[:20]}
            events.record(
                events.Fact(topic="wallet.audit", subject=("audit", str(run.pk)), owner_id=None, payload=payload)
            )
    return report


def _compare(moment: datetime) -> AuditReport:
    total = _sum_of_all_accounts()
    differences = [
        *([Difference(check="sum of all accounts", subject_id="", expected="0", found=str(total))] if total else []),
        *(difference for check in CHECKS for difference in check(moment)),
    ]
    return AuditReport(
        accounts=Account.objects.count(),
        open_holds=Hold.objects.filter(state=Hold.State.HELD).count(),
        transfers=Transfer.objects.count(),
        total=total,
        differences=tuple(differences),
    )


def _sum(rows: QuerySet[Any], by: str) -> Coalesce:
    """Points of these rows summed by account, as a subquery."""
    grouped = rows.order_by().values(by).annotate(sum=Sum("points")).values("sum")
    return Coalesce(Subquery(grouped, output_field=IntegerField()), Value(0))


def _with_sums() -> QuerySet[Any]:
    incoming = _sum(Transfer.objects.filter(target=OuterRef("pk")), "target")
    outgoing = _sum(Transfer.objects.filter(source=OuterRef("pk")), "source")
    return Account.objects.annotate(moved=incoming - outgoing, has=F("balance") + F("held"))


def _sum_of_all_accounts() -> int:
    """Customers by their own figures, the house by its transfers: an account that was edited shows here."""
    worth = Case(When(kind=Account.Kind.CUSTOMER, then=F("has")), default=F("moved"))
    result: int | None = _with_sums().annotate(worth=worth).aggregate(sum=Sum("worth"))["sum"]
    return int(result or 0)


def _balances(_now: datetime) -> Iterator[Difference]:
    wrong = _with_sums().filter(kind=Account.Kind.CUSTOMER).exclude(moved=F("has"))
    for account in wrong[:SHOWN_PER_CHECK]:
        yield Difference(
            check="balance and held against transfers",
            subject_id=account.pk,
            expected=str(account.moved),
            found=str(account.has),
        )


def _held_points(_now: datetime) -> Iterator[Difference]:
    open_holds = _sum(Hold.objects.filter(account=OuterRef("pk"), state=Hold.State.HELD), "account")
    wrong = Account.objects.annotate(open=open_holds).exclude(open=F("held"))
    for account in wrong[:SHOWN_PER_CHECK]:
        yield Difference(
            check="held against open holds", subject_id=account.pk, expected=str(account.open), found=str(account.held)
        )


def _charges(_now: datetime) -> Iterator[Difference]:
    charges = Transfer.objects.filter(hold=OuterRef("pk"), kind=Transfer.Kind.CHARGE)
    counted = Subquery(charges.order_by().values("hold").annotate(count=Count("pk")).values("count"))
    matching = charges.filter(points=OuterRef("deducted"), account=OuterRef("account"))
    wrong = Hold.objects.annotate(charges=Coalesce(counted, Value(0))).filter(
        Q(deducted=0, charges__gt=0) | (Q(deducted__gt=0) & (~Q(charges=1) | ~Exists(matching)))
    )
    for hold in wrong[:SHOWN_PER_CHECK]:
        yield Difference(
            check="deducted against its charge",
            subject_id=hold.pk,
            expected=str(hold.deducted),
            found=f"{hold.charges} charges",
        )


def _refunds(_now: datetime) -> Iterator[Difference]:
    given = Transfer.objects.filter(refund_of=OuterRef("pk")).order_by().values("refund_of")
    sums = given.annotate(sum=Sum("points")).values("sum")
    wrong = Transfer.objects.annotate(given=Coalesce(Subquery(sums), Value(0))).filter(given__gt=F("points"))
    for pk, points, refunded in wrong.values_list("pk", "points", "given")[:SHOWN_PER_CHECK]:
        yield Difference(
            check="refunds against the original", subject_id=str(pk), expected=f"at most {points}", found=str(refunded)
        )


def _orphan_holds(now: datetime) -> Iterator[Difference]:
    late = Q(expires_at__lt=now - OVERDUE) | Q(expires_at=None, created_at__lt=now - MAX_AGE)
    for hold in Hold.objects.filter(late, state=Hold.State.HELD)[:SHOWN_PER_CHECK]:
        yield Difference(
            check="open hold past its time",
            subject_id=hold.pk,
            expected="settled",
            found=f"held since {hold.created_at:%Y-%m-%d %H:%M} UTC",
        )


CHECKS: tuple[Callable[[datetime], Iterator[Difference]], ...] = (
    _balances,
    _held_points,
    _charges,
    _refunds,
    _orphan_holds,
)
