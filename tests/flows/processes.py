"""PODI's own processes beside a test, on the test's database, so that they can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import requests
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


def wait_until(holds: Callable[[], object], *, timeout_s: float = 40.0, what: str = "") -> None:
    """Ask again and again; a failure says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """Starts and kills web, worker and poller by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *names: str) -> None:
        commands = {
            "web": ["-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "podi.asgi:application"],
            "worker": ["manage.py", "qcluster"],
            "poller": ["manage.py", "run_poller"],
        }
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            self._running[name] = subprocess.Popen(
                [sys.executable, *commands[name]],
                cwd=ROOT,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if "web" in names:
            wait_until(self._answers, what="web answers")

    def kill(self, *names: str) -> None:
        """kill -9 of the whole process group: a cluster's children too."""
        for name in names or tuple(self._running):
            process = self._running.pop(name, None)
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.folder.glob("*.log")))

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=1).status_code == 200
        except requests.ConnectionError:
            return False

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": database_url(),
            "PODI_DATA_DIR": str(settings.DATA_DIR),
            "TASK_CLAIM_S": "2",
            "ABILITY_TASK_MAX_WORKERS": "1",
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
        }


def database_url() -> str:
    """The test's own database, in the form of DATABASE_URL."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    user, password = quote(str(found["USER"])), quote(str(found["PASSWORD"]))
    host, port = found["HOST"] or "localhost", found["PORT"] or 3306
    return f"mysql://{user}:{password}@{host}:{port}/{found['NAME']}"
