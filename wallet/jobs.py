"""What the poller does for the wallet: releasing expired holds, and the nightly audit."""

from __future__ import annotations

import logging

from django.conf import settings
from django.utils import timezone

from podi.base.duties import Duty
from wallet import services as wallet

logger = logging.getLogger(__name__)


class SweepHolds(Duty):
    """Any number of pollers may sweep: each hold is settled once."""

    name = "wallet-holds"
    interval_s = 5.0

    def run(self) -> None:
        if released := wallet.release_expired(timezone.now(), 500):
            logger.info("%d expired holds were released.", released)


class NightlyAudit(Duty):
    """Once a day after WALLET_AUDIT_HOUR, in one of the pollers."""

    name = "wallet-audit"
    interval_s = 300.0

    def run(self) -> None:
        local = timezone.localtime()
        if local.hour < settings.WALLET_AUDIT_HOUR:
            return
        report = wallet.audit_day(local.date(), now=timezone.now())
        if report is not None and not report.is_clean:
            logger.error("The wallet's figures differ in %d places; see the audits.", len(report.differences))
