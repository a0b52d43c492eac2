"""What the wallet's services hand out: plain facts, in whole points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from wallet.models import Hold, Transfer


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """How a hold ended. `deducted + released` is what was held; `balance` is what the account has free now."""

    hold: Hold
    deducted: int
    released: int
    balance: int


@dataclass(frozen=True, kw_only=True)
class Balance:
    """One account now.

    `available` is free to use and `held` is reserved; neither is part of the other. Of `available`, `gifted` is what is
    left of gifts (they are spent first) and `recharged` is what is left of grants.
    """

    owner_id: str
    available: int
    held: int
    gifted: int
    recharged: int
    granted_today: int
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Day:
    """What one day moved, in the time zone of the settings."""

    day: date
    received: int
    charged: int


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """An account over its life, and its last days, the oldest first."""

    balance: Balance
    granted: int
    charged: int
    refunded: int
    days: Sequence[Day]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All accounts together: what customers have, and what the house gave out and earned."""

    accounts: int
    available: int
    held: int
    open_holds: int
    issued: int
    earned: int
    days: Sequence[Day]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One page of an account's transfers, newest first."""

    total: int
    page: int
    page_size: int
    transfers: Sequence[Transfer]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where the figures contradict each other."""

    check: str
    subject_id: str
    expected: str
    found: str


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """What the audit added up. `total` is the sum over all accounts, the house's included: it must be zero."""

    accounts: int
    open_holds: int
    transfers: int
    total: int
    differences: Sequence[Difference] = field(default_factory=tuple)

    @property
    def is_clean(self) -> bool:
        return not self.differences
