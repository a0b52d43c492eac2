"""Reading an account: its balance, its statement, its statistics. Nothing here moves points."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Count, Q, Sum
from django.utils import timezone

from wallet.ledger import ensure_account
from wallet.models import Account, Hold, Transfer, TransferQuerySet
from wallet.results import Balance, Day, Overview, Statement, Statistics

INCOMING = (Transfer.Kind.SIGNUP, Transfer.Kind.GRANT)
STATISTICS_DAYS = 30


def balance(owner_id: str) -> Balance:
    """The account now; opens it if there is none. Two queries. Raises WalletAccountNotFound."""
    return _balance(ensure_account(owner_id))


def _balance(account: Account) -> Balance:
    # Grants are few beside charges, and `wallet_transfers_kind` finds them without reading the charges.
    kinds = (*INCOMING, Transfer.Kind.CORRECTION)
    sums = account.transfers.filter(kind__in=kinds).aggregate(
        granted=Sum("points", filter=Q(kind=Transfer.Kind.GRANT)),
        corrected=Sum("points", filter=Q(kind=Transfer.Kind.CORRECTION)),
        today=Sum("points", filter=Q(kind__in=INCOMING, created_at__gte=_start_of_today())),
    )
    recharged = min(account.balance, max(0, (sums["granted"] or 0) - (sums["corrected"] or 0)))
    return Balance(
        owner_id=str(account.owner_id),
        available=account.balance,
        held=account.held,
        gifted=account.balance - recharged,
        recharged=recharged,
        granted_today=sums["today"] or 0,
        updated_at=account.updated_at,
    )


def _start_of_today() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def transactions(owner_id: str, page: int = 1, page_size: int = 20) -> Statement:
    """One page (from 1) of the account's transfers, newest first. Raises WalletAccountNotFound."""
    account = ensure_account(owner_id)
    rows = account.transfers.order_by("-id")
    start = (page - 1) * page_size
    return Statement(
        total=rows.count(), page=page, page_size=page_size, transfers=tuple(rows[start : start + page_size])
    )


def statistics(owner_id: str) -> Statistics:
    """The account over its life and its last thirty days. Raises WalletAccountNotFound."""
    account = ensure_account(owner_id)
    sums = account.transfers.aggregate(
        granted=Sum("points", filter=Q(kind__in=INCOMING)),
        corrected=Sum("points", filter=Q(kind=Transfer.Kind.CORRECTION)),
        charged=Sum("points", filter=Q(kind=Transfer.Kind.CHARGE)),
        refunded=Sum("points", filter=Q(kind=Transfer.Kind.REFUND)),
    )
    return Statistics(
        balance=_balance(account),
        granted=(sums["granted"] or 0) - (sums["corrected"] or 0),
        charged=sums["charged"] or 0,
        refunded=sums["refunded"] or 0,
        days=count_days(Transfer.objects.filter(account=account), days=STATISTICS_DAYS),
    )


def overview() -> Overview:
    """All accounts together and the last thirty days. What the house has is added up from its transfers."""
    customers = Account.objects.filter(kind=Account.Kind.CUSTOMER).aggregate(
        count=Count("pk"), available=Sum("balance"), held=Sum("held")
    )
    by_kind = dict(Transfer.objects.order_by().values_list("kind").annotate(sum=Sum("points")))
    return Overview(
        accounts=customers["count"],
        available=customers["available"] or 0,
        held=customers["held"] or 0,
        open_holds=Hold.objects.filter(state=Hold.State.HELD).count(),
        issued=sum(by_kind.get(kind, 0) for kind in INCOMING) - by_kind.get(Transfer.Kind.CORRECTION, 0),
        earned=by_kind.get(Transfer.Kind.CHARGE, 0) - by_kind.get(Transfer.Kind.REFUND, 0),
        days=count_days(Transfer.objects.all(), days=STATISTICS_DAYS),
    )


def count_days(transfers: TransferQuerySet, *, days: int) -> tuple[Day, ...]:
    """Points received and charged on each of the last days, quiet days included, the oldest first. One query.

    The borders are computed here, because MySQL knows no named time zones until somebody loads them.
    """
    starts = [_start_of_today() - timedelta(days=offset) for offset in range(days - 1, -1, -1)]
    sums: dict[str, Sum] = {}
    for number, start in enumerate(starts):
        within = Q(created_at__gte=start, created_at__lt=start + timedelta(days=1))
        sums[f"received_{number}"] = Sum("points", filter=within & Q(kind__in=INCOMING))
        sums[f"charged_{number}"] = Sum("points", filter=within & Q(kind=Transfer.Kind.CHARGE))
    found = transfers.filter(created_at__gte=starts[0]).aggregate(**sums)
    return tuple(
        Day(day=start.date(), received=found[f"received_{number}"] or 0, charged=found[f"charged_{number}"] or 0)
        for number, start in enumerate(starts)
    )
