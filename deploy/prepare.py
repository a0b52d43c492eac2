"""What must be done to the database before the processes start. Every step may be repeated and changes nothing then."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db.utils import OperationalError

from podi.base.errors import PodiError


def prepare(*, demo: bool) -> None:
    """Migrate, load the catalogue, create the operator, and collect static files where DEBUG is off."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "podi.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    call_command("check", stdout=io.StringIO())  # warnings still go to the terminal
    call_command("migrate", interactive=False, verbosity=0)
    call_command("load_catalog")
    if settings.EXECUTOR_CONFIG_PATH:
        call_command("load_executors")
    call_command("ensure_operator")
    if demo:
        from deploy.demo import load_demo
        from podi.base.models import User

        load_demo(User.objects.get(username=settings.ADMIN_USERNAME))
    if not settings.DEBUG:
        _collect_static(Path(settings.STATIC_ROOT))


def _collect_static(target: Path) -> None:
    """Seconds of work, so only when a static file is another than last time."""
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in sorted(finder.list([]), key=lambda found: found[0]):
            facts = Path(storage.path(name)).stat()
            digest.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    stamp = target / ".collected"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    target.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(digest.hexdigest())


def main() -> None:
    try:
        prepare(demo="--demo" in sys.argv[1:])
    except ImproperlyConfigured as error:
        sys.exit(f"PODI cannot start: {error}")
    except CommandError as error:
        sys.exit(f"PODI cannot start: {error}")
    except PodiError as error:
        sys.exit(f"PODI cannot start: {error} {'; '.join(f'{name}: {text}' for name, text in error.fields.items())}")
    except OperationalError as error:
        sys.exit(f"PODI cannot reach its database (DATABASE_URL): {error}")


if __name__ == "__main__":
    main()
