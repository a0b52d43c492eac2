"""`manage.py sweep_media`: clear away unused files now, and list files that no row knows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from media import services as media


class Command(BaseCommand):
    help = "Removes unfinished and unused files and lists orphans (files without a row, older than a day)."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--delete-orphans", action="store_true", help="remove the orphans as well")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        swept = media.sweep(now)
        self.stdout.write(f"removed: {swept.unfinished} unfinished, {swept.unused} unused, {swept.too_old} too old")
        for orphan in media.find_orphans(now):
            self.stdout.write(f"orphan: {orphan.key} ({orphan.size_bytes} bytes, {orphan.modified_at:%Y-%m-%d})")
        if options["delete_orphans"]:
            self.stdout.write(f"orphans removed: {media.remove_orphans(now)}")
