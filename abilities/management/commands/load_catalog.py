"""Put the shipped workflows and abilities into the database; what operators changed stays."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from abilities.services import load_catalog, read_catalog
from executors import services as executors
from podi.base.services import ensure_service_user


class Command(BaseCommand):
    help = "Load the shipped catalogue. Fields an operator changed are kept and named."

    def handle(self, *args: Any, **options: Any) -> None:
        workflows = executors.load_workflows(ensure_service_user())
        self.stdout.write(f"workflows: {len(workflows)} new")
        report = load_catalog(read_catalog())
        self.stdout.write(f"abilities: {len(report.created)} new, {len(report.updated)} updated")
        for ability_id, names in report.kept.items():
            self.stdout.write(f"  {ability_id}: kept as operators set it: {', '.join(names)}")
