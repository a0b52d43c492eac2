"""Put the shipped abilities into the database; what operators changed stays."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from abilities.services import load_catalog, read_catalog


class Command(BaseCommand):
    help = "Load the shipped catalogue. Fields an operator changed are kept and named."

    def handle(self, *args: Any, **options: Any) -> None:
        report = load_catalog(read_catalog())
        self.stdout.write(f"abilities: {len(report.created)} new, {len(report.updated)} updated")
        for ability_id, names in report.kept.items():
            self.stdout.write(f"  {ability_id}: kept as operators set it: {', '.join(names)}")
