"""The only writer of points: hold, confirm, release, grant, refund. Each has a business key, so a repeat is harmless.

Every command is one transaction, or a part of the caller's. Reads and the audit are here by name for other apps.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q, Sum
from django.utils import timezone

from podi.base.errors import AdminOnly
from podi.base.models import User
from wallet.audit import audit
from wallet.errors import (
    WalletBroken,
    WalletHoldConflict,
    WalletHoldNotFound,
    WalletInsufficient,
    WalletNotRefundable,
    WalletReasonMissing,
    WalletRefundTooLarge,
    WalletTransferNotFound,
)
from wallet.ledger import (
    Move,
    change_balance,
    check_points,
    ensure_account,
    find_transfer,
    reserve,
    tell,
    unreserve,
    write_transfer,
)
from wallet.models import Account, Hold, Transfer, digest
from wallet.results import AuditReport, Balance, Settlement, Statement, Statistics
from wallet.statement import balance, statistics, transactions

__all__ = [
    "AuditReport",
    "Balance",
    "Settlement",
    "Statement",
    "Statistics",
    "audit",
    "balance",
    "confirm",
    "ensure_account",
    "find_hold",
    "grant",
    "hold",
    "refund",
    "release",
    "release_expired",
    "statistics",
    "transactions",
]

logger = logging.getLogger(__name__)


class _OutrunError(Exception):
    """Somebody else settled the hold between our look and our update; what we did is rolled back."""


def hold(
    *,
    owner_id: str,
    points: int,
    key: str,
    subject: tuple[str, str],
    action: str = "",
    channel: str = "",
    expires_at: datetime | None = None,
    is_external: bool = False,
) -> Hold:
    """Reserve points for one purpose, inside the caller's transaction (or one of its own).

    `key` is unique within the owner's account. A repeat with the same terms returns the first hold, in whatever state
    it is by now; other terms raise WalletHoldConflict. Too few points: WalletInsufficient. Without `expires_at` the
    hold stands until it is settled. `is_external` marks a hold that a client settles by the API.
    """
    check_points(points)
    account = ensure_account(owner_id)
    subject_type, subject_id = subject
    wanted = Hold(
        account=account,
        key=key,
        key_digest=digest(key),
        points=points,
        subject_type=subject_type,
        subject_id=subject_id,
        action=action,
        channel=channel,
        expires_at=expires_at,
        is_external=is_external,
    )
    first = _same_hold(wanted)
    if first is not None:
        return first
    # Two pairs of ids can spell the same text (a_b + c, a + b_c): only one may own it, the other gets a plain id.
    for reference in (f"hold_{subject_id}_{owner_id}", f"hold_{wanted.pk}"):
        wanted.reference = reference
        first = _take(account, wanted)
        if first is not None:
            return first
    raise WalletBroken(accountId=account.pk)


def _take(account: Account, wanted: Hold) -> Hold | None:
    """The hold, taken now or by a twin of this call that was first; None when its reference belongs to another."""
    try:
        with transaction.atomic():
            if not reserve(account, wanted.points):
                raise WalletInsufficient(points=wanted.points)
            wanted.save(force_insert=True)
            return wanted
    except WalletInsufficient:
        first = _same_hold(wanted)
        if first is None:
            raise
        return first
    except IntegrityError:
        first = _same_hold(wanted)
        if first is None and not Hold.objects.filter(reference=wanted.reference).exists():
            raise
        return first


def _same_hold(wanted: Hold) -> Hold | None:
    first = Hold.objects.filter(account_id=wanted.account_id, key_digest=wanted.key_digest).first()
    if first is None:
        return None
    for term in ("points", "subject_type", "subject_id", "action", "channel", "is_external"):
        if getattr(first, term) != getattr(wanted, term):
            raise WalletHoldConflict(holdId=first.reference, term=term)
    return first


def find_hold(*, owner_id: str, key: str) -> Hold | None:
    """The hold this owner took with this key, in whatever state."""
    return Hold.objects.filter(account__owner_id=owner_id, key_digest=digest(key)).first()


def confirm(hold_id: str, *, points: int | None = None) -> Settlement:
    """Take all of a hold, or `points` of it (0 to all); the rest is free again. A repeat returns the same answer.

    Raises WalletHoldNotFound, and WalletHoldConflict when the hold was released or confirmed with other points.
    """
    found = _get_hold(hold_id)
    wanted = found.points if points is None else check_points(points, minimum=0)
    if wanted > found.points:
        raise WalletHoldConflict(holdId=found.reference, held=found.points, asked=wanted)
    return _settle(found, state=Hold.State.CONFIRMED, deducted=wanted)


def release(hold_id: str) -> Settlement:
    """Give back all of a hold. A repeat returns the same answer; a confirmed hold raises WalletHoldConflict."""
    return _settle(_get_hold(hold_id), state=Hold.State.RELEASED, deducted=0)


def _get_hold(hold_id: str) -> Hold:
    found = Hold.objects.filter(pk=hold_id).first()
    if found is None:
        raise WalletHoldNotFound(holdId=hold_id)
    return found


def _settle(open_hold: Hold, *, state: Hold.State, deducted: int, is_expired: bool = False) -> Settlement:
    if open_hold.state == Hold.State.HELD:
        try:
            with transaction.atomic():
                return _settle_once(open_hold, state=state, deducted=deducted, is_expired=is_expired)
        except _OutrunError:
            open_hold.refresh_from_db()
            if open_hold.state == Hold.State.HELD:
                raise WalletBroken(holdId=open_hold.reference) from None
    if open_hold.state != state or open_hold.deducted != deducted:
        raise WalletHoldConflict(holdId=open_hold.reference, state=open_hold.state, deducted=open_hold.deducted)
    account = Account.objects.get(pk=open_hold.account_id)
    return _settlement(open_hold, account)


def _settle_once(open_hold: Hold, *, state: Hold.State, deducted: int, is_expired: bool) -> Settlement:
    now = timezone.now()
    if not unreserve(open_hold.account_id, points=open_hold.points, deducted=deducted):
        raise _OutrunError
    if not Hold.objects.filter(pk=open_hold.pk, state=Hold.State.HELD).update(
        state=state, deducted=deducted, is_expired=is_expired, settled_at=now
    ):
        raise _OutrunError
    open_hold.state, open_hold.deducted = state, deducted
    open_hold.is_expired, open_hold.settled_at = is_expired, now
    account = Account.objects.get(pk=open_hold.account_id)
    if deducted:
        charge = Move(kind=Transfer.Kind.CHARGE, points=deducted, key=f"charge:{open_hold.pk}", hold=open_hold)
        write_transfer(account, charge)
    tell(
        account,
        status="deducted" if deducted else "released",
        points=deducted or open_hold.points,
        hold=open_hold,
    )
    return _settlement(open_hold, account)


def _settlement(settled: Hold, account: Account) -> Settlement:
    return Settlement(
        hold=settled,
        deducted=settled.deducted,
        released=settled.points - settled.deducted,
        balance=account.balance,
    )


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
        _get_hold(hold_id)
        original = transfers.filter(hold_id=hold_id, kind=Transfer.Kind.CHARGE).first()
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


def release_expired(now: datetime, limit: int = 500) -> int:
    """Release open holds that are past their time, each in its own transaction; returns how many.

    A hold that cannot be released is logged and stepped over, so that it never stands in the way of the others.
    """
    released = 0
    after: tuple[datetime, str] | None = None
    while released < limit:
        due = Hold.objects.filter(state=Hold.State.HELD, expires_at__lte=now)
        if after is not None:
            due = due.filter(Q(expires_at__gt=after[0]) | Q(expires_at=after[0], pk__gt=after[1]))
        batch = list(due.order_by("expires_at", "pk")[: min(100, limit - released)])
        if not batch:
            break
        for late in batch:
            released += _release_late(late)
        last = batch[-1]
        after = (last.expires_at or now, last.pk)
    return released


def _release_late(late: Hold) -> int:
    try:
        _settle(late, state=Hold.State.RELEASED, deducted=0, is_expired=True)
    except WalletHoldConflict:
        return 0  # confirmed a moment ago
    except (WalletBroken, DatabaseError):
        logger.exception("The expired hold %s could not be released; the next sweep tries again.", late.pk)
        return 0
    return 1
