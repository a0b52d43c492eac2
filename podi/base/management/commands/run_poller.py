"""The poller process: everything that is due by the clock. Any number may run."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from podi.base import duties


class Command(BaseCommand):
    help = "Run the duties of all apps until SIGTERM or SIGINT."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", nargs="*", default=[], help="names of the duties to run; all by default")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = [duty() for duty in duties.declared() if not options["only"] or duty.name in options["only"]]
        stop = threading.Event()

        def end(signum: int, frame: FrameType | None) -> None:
            stop.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        self.stdout.write("poller: " + ", ".join(duty.name for duty in chosen))
        duties.run_until(stop, chosen)
