"""Put the shipped workflows and abilities into the database; what operators changed stays."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from abilities.services import load_catalog, read_catalog
from executors import services as executors
from podi.base.services import ensure_service_user


class Command(BaseCommand):
    help = "Load the shipped catalogue. Fields an operator changed are kept and named."

    def handle(self, *args: Any, **options: Any) -> None:
        workflows = executors.load_workflows(ensure_service_user())
        self.stdout.write(_("workflows: %(new)d new") % {"new": len(workflows)})
        report = load_catalog(read_catalog())
        counts = {"new": len(report.created), "updated": len(report.updated)}
        self.stdout.write(_("abilities: %(new)d new, %(updated)d updated") % counts)
        for ability_id, names in report.kept.items():
            kept = _("kept as operators set it: %(names)s") % {"names": ", ".join(names)}
            self.stdout.write(f"  {ability_id}: {kept}")
