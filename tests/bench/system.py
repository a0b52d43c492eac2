"""One PODI of the bench: its data folder, environment, database, processes, and the helper inside its code."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench.programs import ROOT, Helper, Processes

WORKERS = 2
PATIENCE_S = 120.0
SECRETS = ("SECRET_KEY", "JWT_SECRET_KEY", "UPLOAD_TOKEN_SECRET", "FIELD_ENCRYPTION_KEY")


class System:
    """Everything of it is thrown away by `end`; on a database of your own its rows stay there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"podi-bench-{name}-"))
        self.env = _environment(name, self.folder)
        self.processes = Processes(env=self.env, folder=self.folder)
        self.inside = Helper("tests.bench.inside", env=self.env, log=self.folder / "inside.log")
        tokens = self.inside.ask(do="prepare")
        self.token: str = tokens["token"]
        self.staff_token: str = tokens["staff_token"]
        self.ability_id: str = self.inside.ask(do="add_ability")

    def headers(self, *, staff: bool = False) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.staff_token if staff else self.token}"}

    def pause_background(self) -> None:
        """Stop worker and poller where they are, and not while one of them holds SQLite's write lock."""
        for _attempt in range(100):
            self.processes.pause("worker", "poller")
            if self.inside.ask(do="check_writable"):
                return
            self.processes.resume("worker", "poller")
            time.sleep(0.05)
        raise RuntimeError("the worker never lets go of the database")

    def wait_until_done(self) -> bool:
        """True when no task is open any more within the patience."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if not self.inside.ask(do="count_open"):
                return True
            time.sleep(0.2)
        return False

    def logs(self) -> str:
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in paths)

    def complaints(self) -> int:
        """Lines of worker, poller and web that are warnings or worse."""
        words = (" ERROR ", " WARNING ", "Traceback")
        texts = [path.read_text(errors="replace") for path in self.folder.glob("[wp]*.log")]
        return sum(any(word in line for word in words) for text in texts for line in text.splitlines())

    def end(self) -> None:
        self.processes.end()
        self.inside.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def _environment(name: str, folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key in {"LANG", "HOME", "TMPDIR", "REDIS_URL"}}
    env = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "DEBUG": "0",
        "PODI_ENV_FILE": str(folder / "no-env-file"),
        "PODI_DATA_DIR": str(folder / "data"),
        "ABILITY_TASK_MAX_WORKERS": str(WORKERS),
        "REDIS_PREFIX": f"podi-bench-{name}-{os.getpid()}",
        **{key: secrets.token_urlsafe(48) for key in SECRETS},
    }
    if url := os.environ.get("DATABASE_URL", ""):
        env["DATABASE_URL"] = url if name == "main" else _second_database(url, name)
    return env


def _second_database(url: str, name: str) -> str:
    """A database beside the given one, made on the same server; for SQLite a file beside it."""
    parts = urlsplit(url)
    path = f"{parts.path}_{name}"
    if parts.scheme.startswith("mysql"):
        import MySQLdb

        server: Any = MySQLdb.connect(
            host=parts.hostname or "localhost",
            port=parts.port or 3306,
            user=parts.username or "",
            password=parts.password or "",
        )
        server.cursor().execute(f"CREATE DATABASE IF NOT EXISTS `{path.lstrip('/')}` CHARACTER SET utf8mb4")
        server.close()
    return parts._replace(path=path).geturl()
