"""`manage.py ensure_operator`: the first operator, and the API token behind the curl lines of the documents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from podi.base import services as base
from podi.base.models import ApiToken, User

PASSWORD_FILE = "operator-password"
TOKEN_FILE = "api-token"
TOKEN_NAME = "first start"


class Command(BaseCommand):
    help = (
        "Creates the operator PODI_ADMIN_USERNAME with PODI_ADMIN_PASSWORD, or with a random password that is shown "
        "once and kept in the data folder (mode 0600). Does nothing when it exists."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        name = settings.ADMIN_USERNAME
        made_up = base.ensure_operator(name, password=settings.ADMIN_PASSWORD or None)
        if made_up:
            path = settings.DATA_DIR / PASSWORD_FILE
            write_secret(path, made_up)
            note = _("Operator %(name)s, password %(password)s (shown once; kept in %(path)s)")
            self.stdout.write(note % {"name": name, "password": made_up, "path": path})
        self._ensure_token(User.objects.get(username=name))

    def _ensure_token(self, operator: User) -> None:
        """The token belongs to the file: without the file nobody knows its text any more, so it is replaced."""
        path = settings.DATA_DIR / TOKEN_FILE
        if path.exists() and _is_usable(path.read_text().strip()):
            return
        for lost in ApiToken.objects.filter(user=operator, name=TOKEN_NAME, revoked_at=None):
            base.revoke_token(operator, lost)
        _row, text = base.issue_token(operator, operator, name=TOKEN_NAME)
        write_secret(path, text)


def _is_usable(text: str) -> bool:
    return ApiToken.objects.filter(token_hash=base.hash_token(text), revoked_at=None).exists()


def write_secret(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")
    part.replace(path)
