"""Keeps PODI's processes running together: starts them, prefixes their output, restarts what died, stops all of them.

Written because honcho stops everything when one process ends (docs/decisions/supervisor.md). Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

STOP_PATIENCE_S = 7.0
"""After this long a child that was asked to stop is killed; the whole stop stays under ten seconds."""
STEADY_AFTER_S = 30.0
LONGEST_PAUSE_S = 30.0
COLOURS = ("36", "33", "35", "32", "34", "31")


def read_procfile(path: Path) -> dict[str, str]:
    """Name and command of each process, in order."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    pairs = [line.split(":", 1) for line in lines if line and not line.startswith("#")]
    return {name.strip(): command.strip() for name, command in pairs}


class Child:
    """One process of ours and everything it starts (a session of its own, so that it can be stopped as a whole)."""

    def __init__(self, name: str, command: str, *, env: Mapping[str, str], cwd: Path, once: bool, colour: str) -> None:
        self.name = name
        self.command = command
        self.once = once
        self.returncode: int | None = None
        self._env = dict(env)
        self._cwd = cwd
        self._colour = colour
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._pause_s = 1.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._restart_at = None
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self.command}"],
            cwd=self._cwd,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        threading.Thread(target=self._relay, args=(self._process,), daemon=True).start()

    def look(self) -> None:
        """Notice an end; start again after a pause that doubles while it keeps dying."""
        now = time.monotonic()
        if self._restart_at is not None and now >= self._restart_at:
            self.start()
        if self._process is None or self._process.poll() is None:
            return
        self.returncode = self._process.returncode
        _signal_group(self._process.pid, signal.SIGKILL)  # what it left behind, such as workers without their cluster
        self._process = None
        if self.once:
            return
        if now - self._started_at > STEADY_AFTER_S:
            self._pause_s = 1.0
        self.say(f"ended with {self.returncode}; starting again in {self._pause_s:.0f} s")
        self._restart_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def ask_to_stop(self) -> None:
        """Only the leader is told: a django-q2 cluster ends its workers itself and would lose a job otherwise."""
        self._restart_at = None
        if self._process and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def is_gone(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def sweep(self) -> None:
        if self._process:
            _signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def say(self, text: str) -> None:
        name = f"{self.name:<8}|"
        if sys.stdout.isatty():
            name = f"\033[{self._colour}m{name}\033[0m"
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more; the processes go on
            print(f"{name} {text}", flush=True)

    def _relay(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.say(line.decode(errors="replace").rstrip())


class Supervisor:
    """Runs children until SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, *, env: Mapping[str, str], cwd: Path) -> None:
        self.children: dict[str, Child] = {}
        self._env = env
        self._cwd = cwd
        self._asked_to_stop = False

    def add(self, name: str, command: str, *, once: bool = False) -> Child:
        colour = COLOURS[len(self.children) % len(COLOURS)]
        child = Child(name, command, env=self._env, cwd=self._cwd, once=once, colour=colour)
        self.children[name] = child
        return child

    def run(self, *, on_tick: Callable[[], None]) -> None:
        """Start all children, look after them and call `on_tick` some times a second; returns when all have ended."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            for child in list(self.children.values()):
                child.start()
            while not self._asked_to_stop:
                for child in list(self.children.values()):
                    child.look()
                on_tick()
                time.sleep(0.2)
        finally:
            self._stop()

    def _on_signal(self, number: int, frame: object) -> None:
        self._asked_to_stop = True

    def _stop(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            print("Stopping ...", flush=True)
        for child in self.children.values():
            child.ask_to_stop()
        give_up_at = time.monotonic() + STOP_PATIENCE_S
        while time.monotonic() < give_up_at and not all(child.is_gone() for child in self.children.values()):
            time.sleep(0.05)
        for child in self.children.values():
            child.sweep()


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def die_with_parent() -> None:
    """On Linux the kernel stops a child whose supervisor was killed; elsewhere it lives on and holds its port."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
