"""Is the process there (`/health`), and can PODI do its work (`/ready`)? Two questions, never one answer."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_q.brokers import get_broker
from redis.exceptions import RedisError

from podi.base import heartbeats

Application = Callable[[Any, Any, Any], Awaitable[None]]

log = logging.getLogger(__name__)

ALIVE: Final = b'{"status":"ok"}'
POLLER_SILENT_AFTER_S: Final = 20.0
WORKER_SILENT_AFTER_S: Final = 60.0
LEAST_FREE_BYTES: Final = 200 * 1024 * 1024


def answer_health_first(application: Application) -> Application:
    """Wrap an ASGI application so that GET /health is answered on the event loop.

    It touches no thread, no database and no middleware, so it tells the truth about the process also when every thread
    is busy.
    """

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/health" or scope["method"] not in {"GET", "HEAD"}:
            await application(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ALIVE)).encode())]
        headers.append((b"cache-control", b"no-store"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else ALIVE})

    return answer


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """The same under a WSGI server."""
    return JsonResponse({"status": "ok"}, json_dumps_params={"separators": (",", ":")})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """200 when all parts work, else 503; each part with `ok`, `ms` and a sentence."""
    parts = {check.__name__.removeprefix("check_"): run_check(check) for check in CHECKS}
    is_ready = all(part.ok for part in parts.values())
    body = {
        "status": "ready" if is_ready else "not_ready",
        "checks": {name: {"ok": part.ok, "ms": part.ms, "message": part.message} for name, part in parts.items()},
    }
    return JsonResponse(body, status=200 if is_ready else 503)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one check found."""

    ok: bool
    message: str
    ms: float


class NotReady(Exception):
    """One part does not work; the text says which and what to do."""


Check = Callable[[], str]


def run_check(check: Check) -> Part:
    started_at = time.perf_counter()
    try:
        message, ok = check(), True
    except NotReady as error:
        message, ok = str(error), False
    except (DatabaseError, RedisError, OSError) as error:  # their words may name hosts and accounts: only for the log
        log.warning("not ready: %s: %s", check.__name__, error)
        message, ok = type(error).__name__, False
    return Part(ok=ok, message=message, ms=round((time.perf_counter() - started_at) * 1000, 1))


def check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return connection.display_name


def check_broker() -> str:
    """The broker answers; how many jobs wait in it."""
    broker = get_broker()
    broker.ping()
    waiting = broker.queue_size()
    return _("%(kind)s, %(count)s jobs waiting") % {
        "kind": "Redis" if settings.REDIS_URL else _("database"),
        "count": waiting,
    }


def check_worker() -> str:
    seen = heartbeats.alive(heartbeats.WORKER, WORKER_SILENT_AFTER_S)
    if not seen:
        raise NotReady(
            _("No worker took a job in the last %(seconds)s s. Start one: manage.py qcluster")
            % {"seconds": round(WORKER_SILENT_AFTER_S)}
        )
    return _("%(count)s hosts, the last job waited %(ms)s ms") % {
        "count": len(seen),
        "ms": seen[0].facts.get("waitedMs", 0),
    }


def check_poller() -> str:
    seen = heartbeats.alive(heartbeats.POLLER, POLLER_SILENT_AFTER_S)
    if not seen:
        raise NotReady(
            _("No poller was seen in the last %(seconds)s s. Start one: manage.py run_poller")
            % {"seconds": round(POLLER_SILENT_AFTER_S)}
        )
    age_s = (timezone.now() - seen[0].seen_at).total_seconds()
    return _("%(count)s running, seen %(age)s s ago") % {"count": len(seen), "age": f"{max(age_s, 0):.1f}"}


def check_storage() -> str:
    """A file can be written, read back and removed where results go, and there is room for more."""
    folder = Path(settings.MEDIA_FILES_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".ready-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(ALIVE)
        if probe.read_bytes() != ALIVE:
            raise NotReady(_("A file that was written cannot be read back."))
    finally:
        probe.unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise NotReady(_("Only %(free)s MB are free for results.") % {"free": free // 1024**2})
    return _("%(free)s MB free") % {"free": free // 1024**2}


CHECKS: Final[tuple[Check, ...]] = (check_database, check_broker, check_worker, check_poller, check_storage)
