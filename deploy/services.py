"""Runs a command against a throw-away MariaDB and Redis on private ports, and leaves nothing behind.

    python -m deploy.services -- .venv/bin/pytest

The command finds them in DATABASE_URL and REDIS_URL. Missing Debian packages are installed. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.install import install_packages
from deploy.supervisor import die_with_parent

PACKAGES = {
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "redis-server": "redis-server",
    "chromium": "chromium",
}
PREFIX = "podi-services-"
START_PATIENCE_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install-only", action="store_true", help="only see that the programs are there")
    parser.add_argument("command", nargs="*", help="what to run against the services")
    options = parser.parse_args()
    ensure_programs()
    if options.install_only:
        return
    if not options.command:
        parser.error("name the command to run, after --")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    _remove_leftovers()
    try:
        with throwaway_services() as urls:
            sys.exit(_run(options.command, env={**os.environ, **urls}))
    except KeyboardInterrupt:
        sys.exit(130)


def ensure_programs() -> None:
    """Install what is missing; without Chromium the browser tests say why they skip, the others are needed."""
    missing = sorted({package for program, package in PACKAGES.items() if not _find(program)})
    if missing:
        print(f"Installing {', '.join(missing)} ...", flush=True)
        install_packages(*missing)
    still = sorted({package for program, package in PACKAGES.items() if not _find(program)} - {"chromium"})
    if still:
        sys.exit(
            f"Missing programs of: {', '.join(still)}. Debian, Ubuntu: `sudo apt-get install {' '.join(still)}`; "
            "macOS: `brew install mariadb redis`. Then run the command again."
        )


@contextlib.contextmanager
def throwaway_services() -> Iterator[dict[str, str]]:
    """Both services in a folder of their own; stopped and removed when the block ends, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    running: list[subprocess.Popen[bytes]] = []
    try:
        database_url = _start_mariadb(folder, running)
        redis_url = _start_redis(folder, running)
        yield {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _start_mariadb(folder: Path, running: list[subprocess.Popen[bytes]]) -> str:
    data, sock, log = folder / "mariadb", folder / "m.sock", folder / "mariadb.log"
    as_user = ["--user=root"] if os.geteuid() == 0 else []
    made = subprocess.run(
        [
            _need("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *as_user,
        ],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        sys.exit(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")
    port = _free_port()
    command = [
        _need("mariadbd"),
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={sock}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--pid-file={folder / 'mariadb.pid'}",
        "--character-set-server=utf8mb4",
        "--skip-log-bin",
        "--innodb-flush-log-at-trx-commit=0",  # throw-away: speed before durability
        "--innodb-doublewrite=0",
        "--max-connections=300",
        *as_user,
    ]
    running.append(_spawn(command, log))
    password = secrets.token_hex(12)
    sql = (
        "CREATE DATABASE podi CHARACTER SET utf8mb4;"
        f"CREATE USER podi@'127.0.0.1' IDENTIFIED BY '{password}';"
        f"CREATE USER podi@localhost IDENTIFIED BY '{password}';"
        "GRANT ALL ON *.* TO podi@'127.0.0.1'; GRANT ALL ON *.* TO podi@localhost;"
    )
    client = [_find("mariadb") or _need("mysql"), "--no-defaults", "-uroot", f"--socket={sock}", "-e", sql]
    deadline = time.monotonic() + START_PATIENCE_S
    while subprocess.run(client, capture_output=True).returncode:
        _give_up_if(running[-1], deadline, log)
    return f"mysql://podi:{password}@127.0.0.1:{port}/podi"


def _start_redis(folder: Path, running: list[subprocess.Popen[bytes]]) -> str:
    port, log = _free_port(), folder / "redis.log"
    command = [_need("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    running.append(_spawn([*command, "--dir", str(folder)], log))
    deadline = time.monotonic() + START_PATIENCE_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            if link.recv(16).startswith(b"+PONG"):
                return f"redis://127.0.0.1:{port}/0"
        _give_up_if(running[-1], deadline, log)


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def _give_up_if(process: subprocess.Popen[bytes], deadline: float, log: Path) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        sys.exit(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-3000:]}")
    time.sleep(0.2)


def _run(command: list[str], *, env: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=env)
    try:
        return process.wait()
    finally:
        if process.poll() is None:  # interrupted: it got Ctrl-C too; give it a moment to clean up
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _remove_leftovers() -> None:
    """Folders of runs that were killed; their servers ended with them (see die_with_parent)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _find(program: str) -> str | None:
    extended = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"])
    return shutil.which(program, path=extended)


def _need(program: str) -> str:
    path = _find(program)
    if path is None:
        sys.exit(f"{program} is missing.")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
