"""`manage.py audit_wallet`: add everything up now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from wallet import services as wallet


class Command(BaseCommand):
    help = "Compare accounts, holds and transfers. Ends with status 1 when they differ."

    def handle(self, *args: Any, **options: Any) -> None:
        report = wallet.audit()
        self.stdout.write(
            f"{report.accounts} accounts, {report.open_holds} open holds, {report.transfers} transfers, "
            f"sum over all accounts {report.total}."
        )
        for found in report.differences:
            self.stdout.write(f"  {found.check}: {found.subject_id} expected {found.expected}, found {found.found}")
        if not report.is_clean:
            raise CommandError(f"{len(report.differences)} differences.")
