"""Duties: what must be done by the clock, declared by each app and run by the poller process.

An app lists its duties as dotted paths in `AppConfig.duties`; this module knows no app. Each duty runs in a thread of
its own, so a slow one delays no other, and any number of poller processes may run: every duty claims its slice.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from time import monotonic
from typing import ClassVar

from django.apps import apps
from django.db import close_old_connections, connection
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

ERROR_PAUSE_S = 2.0


class Duty(ABC):
    """One thing to do again and again. `run` should take well under its claim and never wait for a person."""

    name: ClassVar[str]
    interval_s: float = 1.0

    @abstractmethod
    def run(self) -> None:
        """One round."""

    def close(self) -> None:  # noqa: B027  (most duties hold nothing)
        """Give back threads and sockets at the end of the process."""


def declared() -> list[type[Duty]]:
    """The duty classes of all installed apps, in the order of the apps."""
    paths: Iterable[str] = (path for config in apps.get_app_configs() for path in getattr(config, "duties", ()))
    return [import_string(path) for path in paths]


def run_until(stop: threading.Event, duties: Iterable[Duty]) -> None:
    """Run duties, each in its thread, until `stop` is set; then wait for what is under way."""
    threads = [
        threading.Thread(target=_repeat, args=(duty, stop), name=f"duty-{duty.name}", daemon=True) for duty in duties
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(timeout=10)


def _repeat(duty: Duty, stop: threading.Event) -> None:
    while not stop.is_set():
        begun = monotonic()
        pause_s = duty.interval_s
        try:
            close_old_connections()
            duty.run()
        except Exception:
            # The job boundary: a duty that stumbles (the database restarts, say) must not end the process.
            logger.exception("duty %s stumbled", duty.name)
            connection.close()
            pause_s = max(pause_s, ERROR_PAUSE_S)
        stop.wait(max(0.01, pause_s - (monotonic() - begun)))
    duty.close()
    connection.close()
