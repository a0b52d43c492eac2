"""How points move: the conditional updates and the rows that prove them. Called by `services` only.

Order of locks, the same everywhere: the customer's account row, then the hold, then the transfer. The house's rows are
never updated, so customers do not wait for each other. Inserting before the account is updated would take a shared lock
by the foreign key first and let two callers of one account wait for each other on MySQL.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from podi.base.models import User
from podi.events import services as events
from wallet.errors import WalletAccountNotFound, WalletBroken, WalletPointsInvalid, WalletTransferConflict
from wallet.models import HOUSE_ISSUE, HOUSE_REVENUE, Account, Hold, Transfer, digest

MAX_POINTS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Move:
    """Points on their way between a customer and the house, and why."""

    kind: Transfer.Kind
    points: int
    key: str
    actor: User | None = None
    reason: str = ""
    hold: Hold | None = None
    refund_of: Transfer | None = None

    @property
    def is_incoming(self) -> bool:
        return self.kind in (Transfer.Kind.SIGNUP, Transfer.Kind.GRANT, Transfer.Kind.REFUND)

    @property
    def house_id(self) -> str:
        return HOUSE_REVENUE if self.kind in (Transfer.Kind.CHARGE, Transfer.Kind.REFUND) else HOUSE_ISSUE


def check_points(points: object, *, minimum: int = 1) -> int:
    """The points, if they are a whole number in range. Raises WalletPointsInvalid."""
    if isinstance(points, bool) or not isinstance(points, int) or not minimum <= points <= MAX_POINTS:
        raise WalletPointsInvalid(fields={"points": WalletPointsInvalid.message})
    return points


def ensure_account(owner_id: str) -> Account:
    """The customer's account; the first call opens it with the signup gift, exactly once however many race.

    Raises WalletAccountNotFound when there is no such user.
    """
    account = Account.objects.filter(owner_id=owner_id).first()
    if account is not None:
        return account
    if not User.objects.filter(pk=owner_id).exists():
        raise WalletAccountNotFound(userId=owner_id)
    try:
        with transaction.atomic():
            return _open_account(owner_id)
    except IntegrityError:
        account = Account.objects.filter(owner_id=owner_id).first()
        if account is None:
            raise
        return account


def _open_account(owner_id: str) -> Account:
    Account.objects.bulk_create(
        [
            Account(id=HOUSE_ISSUE, kind=Account.Kind.ISSUE),
            Account(id=HOUSE_REVENUE, kind=Account.Kind.REVENUE),
        ],
        ignore_conflicts=True,
    )
    gift: int = settings.WALLET_SIGNUP_POINTS
    account = Account.objects.create(owner_id=owner_id, balance=gift)
    if gift:
        write_transfer(account, Move(kind=Transfer.Kind.SIGNUP, points=gift, key=f"signup:{account.pk}"))
    return account


def reserve(account: Account, points: int) -> bool:
    """Move points from free to held. False when there are not enough, and nothing changed."""
    return bool(
        Account.objects.filter(pk=account.pk, balance__gte=points).update(
            balance=F("balance") - points, held=F("held") + points, updated_at=timezone.now()
        )
    )


def unreserve(account_id: str, *, points: int, deducted: int) -> bool:
    """Take points out of held: `deducted` of them leave the account, the rest is free again."""
    return bool(
        Account.objects.filter(pk=account_id, held__gte=points).update(
            balance=F("balance") + (points - deducted), held=F("held") - points, updated_at=timezone.now()
        )
    )


def change_balance(account: Account, points: int) -> bool:
    """Add signed points to what is free. False when it would become negative, and nothing changed."""
    return bool(
        Account.objects.filter(pk=account.pk, balance__gte=-points).update(
            balance=F("balance") + points, updated_at=timezone.now()
        )
    )


def write_transfer(account: Account, move: Move) -> Transfer:
    """The row of a move that the account (just read again, its row still locked by us) has already made."""
    hold = move.hold
    sign = 1 if move.is_incoming else -1
    before = account.owned - sign * move.points
    if before < 0:
        raise WalletBroken(accountId=account.pk)
    return Transfer.objects.create(
        kind=move.kind,
        source_id=move.house_id if move.is_incoming else account.pk,
        target_id=account.pk if move.is_incoming else move.house_id,
        account=account,
        points=move.points,
        owned_before=before,
        owned_after=account.owned,
        key=move.key,
        key_digest=digest(move.key),
        hold=hold,
        refund_of=move.refund_of,
        actor=move.actor,
        reason=move.reason,
        subject_type=hold.subject_type if hold else "",
        subject_id=hold.subject_id if hold else "",
        action=hold.action if hold else "",
        channel=hold.channel if hold else "",
    )


def find_transfer(account: Account, move: Move) -> Transfer | None:
    """The transfer this key already made. Raises WalletTransferConflict when it was made on other terms."""
    first = Transfer.objects.filter(key_digest=digest(move.key)).first()
    if first is None:
        return None
    same = (
        first.account_id == account.pk
        and first.kind == move.kind
        and first.points == move.points
        and first.reason == move.reason
        and first.refund_of_id == (move.refund_of.pk if move.refund_of else None)
    )
    if not same:
        raise WalletTransferConflict(key=move.key)
    return first


def tell(account: Account, *, status: str, points: int, hold: Hold | None = None) -> None:
    """Record `wallet.points` inside the transaction of the move."""
    subject = ("account", account.pk)
    payload: dict[str, object] = {"status": status, "points": points, "balance": account.balance}
    if hold is not None:
        # A client chooses the task id of its own hold freely; such a fact must not appear on another's task.
        subject = ("hold", hold.pk) if hold.is_external else (hold.subject_type, hold.subject_id)
        payload = {"taskId": hold.subject_id, "holdId": hold.reference, **payload}
    events.record(events.Fact(topic="wallet.points", subject=subject, owner_id=str(account.owner_id), payload=payload))
