"""Points that operators give, give back and take back. Public through `services`."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Sum

from podi.base.errors import AdminOnly
from podi.base.models import User
from wallet.errors import (
    WalletHoldNotFound,
    WalletInsufficient,
    WalletNotRefundable,
    WalletReasonMissing,
    WalletRefundTooLarge,
    WalletTransferNotFound,
)
from wallet.ledger import Move, change_balance, check_points, ensure_account, find_transfer, tell, write_transfer
from wallet.models import Account, Hold, Transfer


def grant(actor: User | None, *, owner_id: str, points: int, reason: str, key: str) -> Transfer:
    """Give a customer points; `actor` is an operator, or None for PODI itself. A repeat of the key returns the first.

    Raises AdminOnly, WalletReasonMissing, WalletPointsInvalid, WalletAccountNotFound, WalletTransferConflict.
    """
    move = _operator_move(Transfer.Kind.GRANT, actor, points=points, reason=reason, key=f"grant:{key}")
    return _move(ensure_account(owner_id), move, status="granted")


def refund(
    actor: User | None,
    *,
    points: int,
    reason: str,
    key: str,
    hold_id: str | None = None,
    transfer_id: int | None = None,
) -> Transfer:
    """Give back a charge (named by its hold or its transfer), or take back a grant, in whole or in part.

    Always a new transfer. The parts never exceed the original: WalletRefundTooLarge; what is no longer there cannot be
    taken back: WalletInsufficient. Else as `grant`.
    """
    original = _original(hold_id=hold_id, transfer_id=transfer_id)
    is_charge = original.kind == Transfer.Kind.CHARGE
    kind = Transfer.Kind.REFUND if is_charge else Transfer.Kind.CORRECTION
    move = _operator_move(kind, actor, points=points, reason=reason, key=f"refund:{key}", original=original)
    return _move(original.account, move, status="refunded" if is_charge else "corrected")


def _original(*, hold_id: str | None, transfer_id: int | None) -> Transfer:
    transfers = Transfer.objects.select_related("account", "hold")
    if hold_id is not None:
        original = transfers.filter(hold_id=hold_id, kind=Transfer.Kind.CHARGE).first()
        if original is None and not Hold.objects.filter(pk=hold_id).exists():
            raise WalletHoldNotFound(holdId=hold_id)
        if original is None:
            raise WalletNotRefundable(holdId=hold_id)
        return original
    if transfer_id is None:
        raise ValueError("Name the hold or the transfer that is refunded.")
    original = transfers.filter(pk=transfer_id).first()
    if original is None:
        raise WalletTransferNotFound(transferId=transfer_id)
    if original.kind in (Transfer.Kind.REFUND, Transfer.Kind.CORRECTION):
        raise WalletNotRefundable(transferId=transfer_id)
    return original


def _operator_move(
    kind: Transfer.Kind, actor: User | None, *, points: int, reason: str, key: str, original: Transfer | None = None
) -> Move:
    if actor is not None and not actor.is_staff:
        raise AdminOnly
    if not reason.strip():
        raise WalletReasonMissing(fields={"reason": WalletReasonMissing.message})
    return Move(
        kind=kind,
        points=check_points(points),
        key=key,
        actor=actor,
        reason=reason.strip()[:255],
        hold=original.hold if original else None,
        refund_of=original,
    )


def _move(account: Account, move: Move, *, status: str) -> Transfer:
    first = find_transfer(account, move)
    if first is not None:
        return first
    try:
        with transaction.atomic():
            if not change_balance(account, move.points if move.is_incoming else -move.points):
                raise WalletInsufficient(points=move.points)
            _check_refundable(move)
            fresh = Account.objects.get(pk=account.pk)
            written = write_transfer(fresh, move)
            tell(fresh, status=status, points=move.points, hold=move.hold)
            return written
    except (WalletInsufficient, WalletRefundTooLarge, IntegrityError):
        first = find_transfer(account, move)  # the same call, raced: its twin was first
        if first is None:
            raise
        return first


def _check_refundable(move: Move) -> None:
    """The account's row is ours by now, so nobody else can add a refund to this original meanwhile."""
    original = move.refund_of
    if original is None:
        return
    given = Transfer.objects.filter(refund_of=original).aggregate(sum=Sum("points"))["sum"] or 0
    if given + move.points > original.points:
        raise WalletRefundTooLarge(left=original.points - given)
