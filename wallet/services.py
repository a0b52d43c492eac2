"""The only writer of points: hold, confirm, release, grant, refund. Each has a business key, so a repeat is harmless.

Every command is one transaction, or a part of the caller's. Reads and the audit are here by name for other apps.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from wallet.audit import audit, audit_day
from wallet.errors import (
    WalletBroken,
    WalletHoldConflict,
    WalletHoldManaged,
    WalletHoldNotFound,
    WalletInsufficient,
)
from wallet.grants import grant, refund
from wallet.ledger import (
    Move,
    check_points,
    ensure_account,
    reserve,
    tell,
    unreserve,
    write_transfer,
)
from wallet.models import Account, Hold, Transfer, digest
from wallet.prices import quote
from wallet.results import AuditReport, Balance, Overview, Settlement, Statement, Statistics
from wallet.statement import balance, overview, statistics, transactions

__all__ = [
    "AuditReport",
    "Balance",
    "Overview",
    "Settlement",
    "Statement",
    "Statistics",
    "audit",
    "audit_day",
    "balance",
    "confirm",
    "ensure_account",
    "find_external_hold",
    "find_hold",
    "find_reference",
    "grant",
    "hold",
    "overview",
    "quote",
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


def find_reference(reference: str) -> Hold:
    """The hold with this id at the API (looked up whole, never taken apart). Raises WalletHoldNotFound."""
    found = Hold.objects.select_related("account").filter(reference=reference).first()
    if found is None or found.reference != reference:  # MySQL also finds what differs only in case
        raise WalletHoldNotFound(holdId=reference)
    return found


def find_external_hold(reference: str, *, owner_id: str | None) -> Hold:
    """A hold that a client may settle: of this owner, or of anybody when None.

    Raises WalletHoldNotFound for another's hold as for none, WalletHoldManaged for one that PODI settles itself.
    """
    found = find_reference(reference)
    if owner_id is not None and found.account.owner_id != owner_id:
        raise WalletHoldNotFound(holdId=reference)
    if not found.is_external:
        raise WalletHoldManaged(holdId=reference)
    return found


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
