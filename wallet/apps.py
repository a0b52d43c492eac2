from __future__ import annotations

from typing import ClassVar

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WalletConfig(AppConfig):
    name = "wallet"
    label = "wallet"
    verbose_name = _("Wallet")
    duties: ClassVar[tuple[str, ...]] = ("wallet.jobs.SweepHolds", "wallet.jobs.NightlyAudit")
