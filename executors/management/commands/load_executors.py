"""`manage.py load_executors [file]`: creates the executors of a file that do not exist yet, and changes none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.translation import gettext as _

from executors.services.seeding import load_executors
from podi.base.errors import PodiError
from podi.base.services import ensure_service_user


class Command(BaseCommand):
    help = "Creates the executors of a YAML or JSON file that do not exist yet. What operators changed stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="Default: EXECUTOR_CONFIG_PATH.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["file"] or settings.EXECUTOR_CONFIG_PATH
        if not name:
            self.stdout.write(_("No file: name one, or set EXECUTOR_CONFIG_PATH."))
            return
        try:
            with transaction.atomic():
                loaded = load_executors(ensure_service_user(), Path(name))
        except PodiError as error:
            problems = "; ".join(f"{field}: {text}" for field, text in error.fields.items())
            raise CommandError(f"{error.detail}: {error.text} {problems}".strip()) from error
        self.stdout.write(
            _("Executors created: %(created)d, kept as they are: %(kept)d.")
            % {"created": len(loaded.created), "kept": len(loaded.kept)}
        )
