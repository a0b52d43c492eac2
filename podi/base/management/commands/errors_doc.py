"""`manage.py errors_doc`: write docs/errors.md; with `--check` only say whether it is up to date."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from podi.base.error_catalogue import render


class Command(BaseCommand):
    help = "Write docs/errors.md from the error classes of all apps."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail when the file differs")

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.BASE_DIR / "docs" / "errors.md"
        text = render()
        if not options["check"]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise CommandError("docs/errors.md is out of date: run `manage.py errors_doc` and commit it.")
