"""`make run` and `make demo`: from nothing to a running PODI on this machine, and everything stopped on Ctrl-C.

The first half needs only the standard library and makes `.venv`; the second half runs inside it.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from deploy.install import BASE_DIR, VENV_DIR, VENV_PYTHON, ensure_installed
from deploy.supervisor import Child, Supervisor, read_procfile

FIRST_START_MARK = "first-start-done"
WEB_PATIENCE_S = 60.0
SECRETS = ("SECRET_KEY", "JWT_SECRET_KEY", "UPLOAD_TOKEN_SECRET", "FIELD_ENCRYPTION_KEY")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where this PODI runs and keeps its state."""

    data_dir: Path
    bind: str
    port: int
    demo: bool

    @property
    def local_url(self) -> str:
        return f"http://localhost:{self.port}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--demo", action="store_true", help="with a simulated ComfyUI node, a simulated Coze and example data"
    )
    options = parser.parse_args()
    os.chdir(BASE_DIR)
    ensure_installed(dev=options.demo)  # the simulated node is one of the tests'
    enter_venv("deploy.run")
    _run(demo=options.demo)


def enter_venv(module: str) -> None:
    """Become the same program under `.venv`'s interpreter, unless it is that already."""
    if Path(sys.prefix).resolve() != VENV_DIR.resolve():
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), "-m", module, *sys.argv[1:]])


def _run(*, demo: bool) -> None:
    place = settle(demo=demo)
    with _claim(place):
        _refuse_busy_port(place)
        demo_port = _free_port()
        if demo:
            os.environ["PODI_DEMO_COMFYUI_URL"] = f"http://127.0.0.1:{demo_port}"
            coze = _simulate_coze()
        _prepare(demo=demo)
        supervisor = Supervisor(env=dict(os.environ), cwd=BASE_DIR)
        if demo:
            supervisor.add("comfyui", f"python -m tests.simulators.comfyui --port {demo_port}")
            if coze:
                supervisor.add("coze", coze)
        for name, command in read_procfile(BASE_DIR / "Procfile").items():
            supervisor.add(name, command)
        supervisor.run(on_tick=_Greeting(place=place, supervisor=supervisor).tick)


def _simulate_coze() -> str:
    """The command of a simulated Coze, and the settings that name it; empty where a real account is set.

    Its results lie on this machine, so links to it may be followed.
    """
    if os.environ.get("COZE_BASE_URL"):
        return ""
    port, token = _free_port(), f"demo_{secrets.token_hex(8)}"
    os.environ.update(COZE_BASE_URL=f"http://127.0.0.1:{port}", COZE_API_TOKEN=token, COZE_FLAVOUR="cloud")
    os.environ.setdefault("FETCH_ALLOWED_NETWORKS", "127.0.0.1/32")
    return f"python -m tests.simulators.coze --port {port} --token {token}"


def settle(*, demo: bool) -> Place:
    """Defaults of one's own machine, into the environment that every process inherits. What is set stays.

    While DEBUG is not set either way, missing secrets are made up once and kept under the data folder, and PODI listens
    on this machine only. With DEBUG set to false nothing is made up.
    """
    from podi import env

    os.environ["PATH"] = f"{VENV_DIR / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ["PYTHONUNBUFFERED"] = "1"
    data_dir = Path(env.text("PODI_DATA_DIR", default=str(BASE_DIR / "var" / "demo" if demo else BASE_DIR / "var")))
    data_dir = data_dir.expanduser().resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    if not env.text("DEBUG"):
        for name in SECRETS:
            os.environ[name] = env.secret(name, debug=True, data_dir=data_dir)
    port = env.integer("PORT", default=8099)
    is_own_machine = not env.text("DEBUG") or env.boolean("DEBUG")
    bind = env.text("PODI_BIND", default="127.0.0.1" if is_own_machine else "0.0.0.0")
    os.environ.update(PODI_DATA_DIR=str(data_dir), PORT=str(port), PODI_BIND=bind)
    return Place(data_dir=data_dir, bind=bind, port=port, demo=demo)


def _claim(place: Place) -> IO[str]:
    """Only one PODI per data folder on a machine; the lock goes with the process, however it ends."""
    lock = (place.data_dir / "run.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        sys.exit(
            f"PODI already runs from {place.data_dir} (process {lock.read().strip() or 'unknown'}). "
            "Stop it first, or set PODI_DATA_DIR and PORT for a second one."
        )
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _refuse_busy_port(place: Place) -> None:
    family = socket.AF_INET6 if ":" in place.bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((place.bind, place.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                sys.exit(
                    f"Port {place.port} is in use by another program. "
                    f"Stop it, or choose another port: PORT={place.port + 1} make {'demo' if place.demo else 'run'}"
                )
            sys.exit(f"PODI cannot listen on {place.bind}:{place.port}: {error.strerror}. Look at PODI_BIND and PORT.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _prepare(*, demo: bool) -> None:
    command = [sys.executable, "-m", "deploy.prepare", *(["--demo"] if demo else [])]
    if code := subprocess.run(command).returncode:
        sys.exit(code)


@dataclass(kw_only=True)
class _Greeting:
    """Waits for the web process, says where everything is, and on a first start runs the self-check."""

    place: Place
    supervisor: Supervisor
    _greeted: bool = False
    _started_at: float = field(default_factory=time.monotonic)
    _check: Child | None = None

    def tick(self) -> None:
        if not self._greeted:
            self._try_to_greet()
        if self._check and self._check.returncode is not None:
            self._conclude(self._check.returncode)

    def _try_to_greet(self) -> None:
        if _answers(f"http://{_reachable(self.place.bind)}:{self.place.port}/health"):
            self._greeted = True
            print(greeting(self.place), flush=True)
            if not (self.place.data_dir / FIRST_START_MARK).exists():
                self._start_check()
        elif time.monotonic() - self._started_at > WEB_PATIENCE_S:
            self._greeted = True
            print(f"The web process did not answer within {WEB_PATIENCE_S:.0f} s; its own words are above.", flush=True)

    def _start_check(self) -> None:
        print("First start: sending one real task through the whole path ...", flush=True)
        self._check = self.supervisor.add("check", "python manage.py self_check", once=True)
        self._check.start()

    def _conclude(self, code: int) -> None:
        self._check = None
        del self.supervisor.children["check"]
        if code == 0:
            (self.place.data_dir / FIRST_START_MARK).touch()
        else:
            print("The self-check failed, see above. Again: make manage ARGS=self_check", flush=True)


def greeting(place: Place) -> str:
    """What a person needs next: the addresses, the account, and a line to paste."""
    token_file = place.data_dir / "api-token"
    password_file = place.data_dir / "operator-password"
    account = f"密码在 password in {password_file}" if password_file.exists() else "您设置的密码 the password you set"
    name = os.environ.get("PODI_ADMIN_USERNAME", "") or "admin"
    example = json.loads((BASE_DIR / "deploy" / "first-call.json").read_text())
    curl = (
        f"curl -sS {place.local_url}{example['path']} "
        f'-H "Authorization: Bearer $(cat {shlex.quote(str(token_file))})" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(example['body']))}"
    )
    return f"""
PODI runs. PODI 已启动。
    后台 Admin     {place.local_url}/admin/   ({name}, {account})
    接口 API       {place.local_url}/docs
    健康 Health    {place.local_url}/ready
    数据 State     {place.data_dir}
    试用 Try it    {curl}
Ctrl-C stops everything. 按 Ctrl-C 停止全部进程。
"""


def _reachable(bind: str) -> str:
    if bind in {"0.0.0.0", "::", ""}:
        return "127.0.0.1"
    return f"[{bind}]" if ":" in bind else bind


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
