"""`manage.py doctor_media`: can files be kept, read back, linked to, and fetched by the link from outside?"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from media import services as media
from podi.base import http
from podi.base.errors import PodiError


class Command(BaseCommand):
    help = "Writes a file, reads it back, signs a link, fetches it by HTTP from PODI_PUBLIC_URL, deletes it."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--no-http", action="store_true", help="skip the fetch; the web process may be down")

    def handle(self, *args: Any, **options: Any) -> None:
        checked = media.self_check()
        if not checked.ok:
            raise CommandError(f"storage: {checked.message}")
        self.stdout.write("storage: written, read back, signed, deleted")
        if not options["no_http"]:
            self._fetch()
            self.stdout.write(f"links: {settings.PUBLIC_URL} serves them")

    def _fetch(self) -> None:
        content = f"PODI self-check {secrets.token_hex(16)}".encode()
        try:
            asset = media.keep(content, owner=None, kind="check", content_type="text/plain")
        except PodiError as error:
            raise CommandError(f"keep: {error}") from error
        try:
            # Our own address may well be a private one.
            answer = http.request(
                "GET", media.url(asset), timeout_s=10, max_bytes=10_000, allowed_networks=("0.0.0.0/0", "::/0")
            )
        except http.OutboundError as error:
            address = urlsplit(media.url(asset)).netloc
            raise CommandError(f"links: {address} cannot be reached ({error}); check PODI_PUBLIC_URL") from error
        finally:
            media.remove_asset(asset)
        if answer.status != 200 or answer.body != content:
            raise CommandError(f"links: the answer was {answer.status}, not the file; check PODI_PUBLIC_URL")
