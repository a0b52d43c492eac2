"""Makes `.venv` and installs the pinned requirements, once per state of their files. Standard library only."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
VENV_DIR = BASE_DIR / ".venv"
VENV_PYTHON = VENV_DIR / "bin" / "python"
RUNTIME, DEV, LOCK = (BASE_DIR / name for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"))

NEEDS_HEADERS = "mysqlclient"
HEADERS_MISSING = """\
mysqlclient could not be built: the C headers of MariaDB or MySQL are missing. PODI runs on SQLite without it.
To use a mysql:// DATABASE_URL, install them and run `make install`:
    Debian, Ubuntu:  apt-get install libmariadb-dev pkg-config gcc python3-dev
    macOS:           brew install mysql-client pkg-config
                     export PKG_CONFIG_PATH="$(brew --prefix)/opt/mysql-client/lib/pkgconfig"
"""


def ensure_installed(*, dev: bool = False, again: bool = False) -> None:
    """Bring `.venv` to what the requirement files say; nothing is done when it already is.

    Safe to call from two terminals at once and after an interrupted run. Exits with a sentence when it cannot.
    """
    VENV_DIR.mkdir(exist_ok=True)
    with (VENV_DIR / ".install-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_usable(VENV_PYTHON):
            _make_venv()
        _install(RUNTIME, again=again)
        if dev:
            _install(DEV, again=again)


def _install(requirements: Path, *, again: bool) -> None:
    stamp = VENV_DIR / f".installed-{requirements.stem}"
    wanted = _fingerprint(requirements)
    if not again and stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing {requirements.name} into .venv ...", flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as portable:
        lines = requirements.read_text().splitlines()
        portable.write("\n".join(line for line in lines if not line.startswith((NEEDS_HEADERS, "-r "))))
        portable.flush()
        if _pip("install", "-r", portable.name).returncode:
            sys.exit(f"pip could not install {requirements.name}; its own words are above. Then run the command again.")
    for line in lines:
        if line.startswith(NEEDS_HEADERS):
            _install_mysqlclient(line.split("#")[0].strip())
    stamp.write_text(wanted)


def _install_mysqlclient(pin: str) -> None:
    """Apart from the rest: it is the one package that needs a compiler and headers, and only for MySQL and MariaDB."""
    done = _pip("install", pin, quiet=True)
    if done.returncode:
        print(HEADERS_MISSING, flush=True)
        if "mysqlclient" not in done.stdout + done.stderr:  # not the build: the network, the index
            print((done.stdout + done.stderr)[-2000:], flush=True)


def _pip(*arguments: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    command = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments, "-qq"]
    if LOCK.exists():
        command += ["-c", str(LOCK)]
    return subprocess.run(command, cwd=BASE_DIR, text=True, capture_output=quiet)


def _fingerprint(requirements: Path) -> str:
    parts = [requirements, LOCK] if LOCK.exists() else [requirements]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in parts)).hexdigest()
    return f"{digest} {os.path.realpath(VENV_PYTHON)}\n"


def _is_usable(python: Path) -> bool:
    """False also after the interpreter below `.venv` was removed, or when making it was cut short."""
    if not python.exists():
        return False
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([str(python), "-c", probe], capture_output=True).returncode == 0


def _make_venv() -> None:
    print("Making .venv ...", flush=True)
    if _run_venv().returncode == 0:
        return
    if _can_apt():
        print("This Python cannot make virtual environments yet; installing python3-venv ...", flush=True)
        install_packages("python3-venv")
    made = _run_venv()
    if made.returncode:
        print((made.stdout + made.stderr).strip(), flush=True)
        sys.exit(
            "Python's venv module is not complete. Debian, Ubuntu: `apt-get install python3-venv`. "
            "Then run the command again."
        )


def _run_venv() -> subprocess.CompletedProcess[str]:
    # Not the interpreter of a broken .venv itself.
    python = getattr(sys, "_base_executable", sys.executable) or sys.executable
    command = [python, "-m", "venv", "--clear", str(VENV_DIR)]
    return subprocess.run(command, text=True, capture_output=True)


def _can_apt() -> bool:
    return bool(shutil.which("apt-get")) and (os.geteuid() == 0 or bool(shutil.which("sudo")))


def install_packages(*names: str) -> bool:
    """Install Debian packages; false when this machine has no apt-get or we may not use it."""
    if not _can_apt():
        return False
    apt = ["apt-get"] if os.geteuid() == 0 else ["sudo", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*apt, "install", "-y", "-q", "--no-install-recommends", *names]
    if subprocess.run(install, env=env, stdout=subprocess.DEVNULL).returncode == 0:
        return True
    subprocess.run([*apt, "update", "-q"], env=env, stdout=subprocess.DEVNULL)
    return subprocess.run(install, env=env, stdout=subprocess.DEVNULL).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what the checks and tests need")
    parser.add_argument("--again", action="store_true", help="also when nothing changed")
    options = parser.parse_args()
    ensure_installed(dev=options.dev, again=options.again)


if __name__ == "__main__":
    main()
