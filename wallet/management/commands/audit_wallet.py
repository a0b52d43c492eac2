"""`manage.py audit_wallet`: add everything up now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from podi.base.phrases import tell
from wallet import services as wallet


class Command(BaseCommand):
    help = "Compare accounts, holds and transfers. Ends with status 1 when they differ."

    def handle(self, *args: Any, **options: Any) -> None:
        report = wallet.audit()
        self.stdout.write(
            _("%(accounts)d accounts, %(holds)d open holds, %(transfers)d transfers, sum over all accounts %(total)d.")
            % {
                "accounts": report.accounts,
                "holds": report.open_holds,
                "transfers": report.transfers,
                "total": report.total,
            }
        )
        for found in report.differences:
            self.stdout.write(f"  {tell(found.check)}: {found.subject_id} {found.expected} ≠ {found.found}")
        if not report.is_clean:
            raise CommandError(_("Differences: %(count)d") % {"count": len(report.differences)})
