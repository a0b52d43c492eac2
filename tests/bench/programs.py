"""Processes of the bench: helpers that answer JSON lines, and PODI's own, as the Procfile starts them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from deploy.supervisor import die_with_parent, read_procfile

ROOT = Path(__file__).resolve().parents[2]


class Helper:
    """A module of the bench that reads one JSON line and answers one."""

    def __init__(self, module: str, *, env: dict[str, str], log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("ab"),
            text=True,
            preexec_fn=die_with_parent,
        )

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.read()

    def read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a helper of the bench ended:\n{self._log.read_text()[-3000:]}")
        answer = json.loads(line)
        if isinstance(answer, dict) and "failed" in answer:
            raise RuntimeError(f"{answer['failed']}\n{self._log.read_text()[-3000:]}")
        return answer

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Processes:
    """web, worker and poller, each in a process group that can be paused and continued."""

    def __init__(self, *, env: dict[str, str], folder: Path) -> None:
        self.port = free_port()
        self.env = {**env, "PORT": str(self.port)}
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *names: str) -> None:
        commands = read_procfile(ROOT / "Procfile")
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            self._running[name] = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {commands[name]}"],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        if "web" in names:
            self._wait_for_web()

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def cpu_s(self, name: str) -> float:
        """Processor seconds this process and its children have used; NaN where the system does not say."""
        total = 0.0
        for pid in _family(self._running[name].pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                return float("nan")
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def pause(self, *names: str) -> None:
        for name in names:
            os.killpg(self._running[name].pid, signal.SIGSTOP)

    def resume(self, *names: str) -> None:
        for name in names:
            os.killpg(self._running[name].pid, signal.SIGCONT)

    def end(self) -> None:
        self.resume(*self._running)
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def _wait_for_web(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError("the web process did not answer:\n" + (self.folder / "web.log").read_text()[-3000:])


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = children.read_text().split() if children.exists() else []
    return [pid, *(member for child in found for member in _family(int(child)))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
