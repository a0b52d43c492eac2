"""`make run` as a person sees it: from an empty data folder to a stored result, and everything stopped again."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Podi:
    """`deploy.run` in a process of its own; what it says is collected in a file."""

    def __init__(self, data_dir: Path, *, port: int, name: str = "out") -> None:
        self.port = port
        self.said = data_dir.parent / name
        env = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "DEBUG"}}
        env |= {"PODI_DATA_DIR": str(data_dir), "PORT": str(port), "PODI_ADMIN_USERNAME": "ops"}
        with self.said.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.run"], cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT
            )

    def text(self) -> str:
        return self.said.read_text()

    def wait_for(self, pattern: str, *, seconds: float) -> "re.Match[str]":
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text())):
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)
        return found

    def stop(self, number: int = signal.SIGINT) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=12)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Podi]]:
    started: list[Podi] = []

    def begin(*, port: int, name: str = "out", folder: str = "data") -> Podi:
        (tmp_path / folder).mkdir(exist_ok=True)
        started.append(Podi(tmp_path / folder, port=port, name=name))
        return started[-1]

    yield begin
    for podi in started:
        podi.stop(signal.SIGTERM)


def processes_using(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"PODI_DATA_DIR={folder}".encode() in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if any(word in command for word in ("daphne", "qcluster", "run_poller", "deploy.run")):
                    found.append(command)
        except OSError:
            continue
    return found


def readme_commands(name: str) -> str:
    """The shell blocks of the chapter that calls PODI."""
    chapter = re.split(r"\n## ", (ROOT / name).read_text())[2]
    return "\n".join(re.findall(r"```sh\n(.*?)```", chapter, re.DOTALL))


def test_both_readmes_show_the_same_commands() -> None:
    assert "invoke" in readme_commands("README.md")
    assert readme_commands("README.md") == readme_commands("README.zh-CN.md")


def run_readme(folder: Path, *, data: Path, port: int) -> str:
    """Paste the README's commands into a shell, as a reader would, in a folder with a picture and `var`."""
    folder.mkdir()
    (folder / "var").symlink_to(data)
    Image.new("RGB", (48, 32), "teal").save(folder / "picture.png")
    commands = "set -eu\n" + readme_commands("README.md").replace("localhost:8099", f"localhost:{port}")
    done = subprocess.run(["bash", "-c", commands], cwd=folder, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_R28_the_first_start_ends_in_a_stored_result_and_the_second_changes_nothing(
    start: Callable[..., Podi], tmp_path: Path
) -> None:
    port = free_port()
    podi = start(port=port)
    link = podi.wait_for(r"check +\| +(http\S+)", seconds=120)[1]
    password = podi.wait_for(r"ops，密码 (\S+)", seconds=1)[1]
    picture = requests.get(link, timeout=10)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")

    curl = podi.wait_for(r"Try it +(curl .*)", seconds=1)[1]
    pasted = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=60)
    assert '"status":"succeeded"' in pasted.stdout.replace('": "', '":"'), pasted.stdout + pasted.stderr

    answers = run_readme(tmp_path / "reader", data=tmp_path / "data", port=port)
    links = re.findall(r'"ossUrl": ?"([^"]+)"', answers)
    assert answers.count('"status":"succeeded"') == 3, answers  # the invoke, the task, the result inside the task
    assert {requests.get(link, timeout=10).status_code for link in links} == {200}

    deadline = time.monotonic() + 40
    while (ready := requests.get(f"http://127.0.0.1:{port}/ready", timeout=10)).status_code != 200:
        assert time.monotonic() < deadline, ready.text
        time.sleep(0.5)
    for name in ("operator-password", "api-token"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    token = (tmp_path / "data" / "api-token").read_text()
    while not (tmp_path / "data" / "first-start-done").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)

    podi.stop()
    assert processes_using(tmp_path / "data") == []

    begun = time.monotonic()
    again = start(port=port, name="again")
    again.wait_for("PODI runs", seconds=30)
    assert time.monotonic() - begun < 20
    again.wait_for(r"poller +\| poller:", seconds=20)
    assert password not in again.text()
    assert "First start" not in again.text()
    assert "新增 0 个，更新 0 个" in again.text()
    assert (tmp_path / "data" / "api-token").read_text() == token
    login = {"username": "ops", "password": password}
    assert requests.post(f"http://127.0.0.1:{port}/api/auth/login", json=login, timeout=10).status_code == 200


def test_a_busy_port_is_said_before_anything_is_made(start: Callable[..., Podi], tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        podi = start(port=port)
        assert podi.process.wait(timeout=60) != 0
    assert f"Port {port} is in use by another program" in podi.text()
    assert "Traceback" not in podi.text()
    assert not (tmp_path / "data" / "podi.sqlite3").exists()


def test_a_second_start_on_the_same_data_is_refused(start: Callable[..., Podi], tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        podi = start(port=free_port())
        assert podi.process.wait(timeout=60) != 0
    assert "already runs" in podi.text()
    assert "4711" in podi.text()
