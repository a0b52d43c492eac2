"""Our supervisor, with real processes: it restarts what died and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.supervisor import read_procfile

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import os, sys
from pathlib import Path
from deploy.supervisor import Supervisor
supervisor = Supervisor(env=dict(os.environ), cwd=Path.cwd())
for number, command in enumerate(sys.argv[1:]):
    supervisor.add(f"p{number}", command)
supervisor.run(on_tick=lambda: None)
"""


class Run:
    """A supervisor in a process of its own."""

    def __init__(self, *commands: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", DRIVER, *commands],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> str:
        if self.process.poll() is None:
            self.process.kill()
        return self.process.communicate(timeout=5)[0]


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(*commands: str) -> Run:
        runs.append(Run(*commands))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


def wait_for(condition: Callable[[], object], seconds: float = 8) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def pid_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def test_a_procfile_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# words\nweb: daphne -p ${PORT:-1} x:y\n\nworker: a b\n")
    assert read_procfile(tmp_path / "Procfile") == {"web": "daphne -p ${PORT:-1} x:y", "worker": "a b"}


def test_a_process_that_dies_is_started_again(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(f"sh -c 'echo $$ >> {tmp_path}/pids; sleep 60'", f"sh -c 'echo $$ > {tmp_path}/other; sleep 60'")
    first, other = pid_in(tmp_path / "pids"), pid_in(tmp_path / "other")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len((tmp_path / "pids").read_text().split()) == 2)
    assert is_running(other)
    assert run.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_reaches_every_process_and_its_children(
    start: Callable[..., Run], tmp_path: Path, number: signal.Signals
) -> None:
    run = start(f"sh -c 'sleep 60 & echo $! > {tmp_path}/child; wait'", f"sh -c 'echo $$ > {tmp_path}/plain; sleep 60'")
    pids = [pid_in(tmp_path / "child"), pid_in(tmp_path / "plain")]
    run.process.send_signal(number)
    assert run.process.wait(timeout=10) == 0
    wait_for(lambda: not any(map(is_running, pids)))


def test_a_process_that_will_not_stop_is_killed_within_ten_seconds(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(f"sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/deaf; while :; do sleep 0.2; done'")
    deaf = pid_in(tmp_path / "deaf")
    begun = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    run.process.wait(timeout=12)
    assert time.monotonic() - begun < 10
    wait_for(lambda: not is_running(deaf))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stops children with their parent")
def test_a_killed_supervisor_takes_its_processes_along(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(f"sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60'")
    pid = pid_in(tmp_path / "pid")
    run.process.kill()
    wait_for(lambda: not is_running(pid))


def test_lines_carry_the_name_of_their_process(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(f"sh -c 'echo one; echo two >&2; touch {tmp_path}/said; sleep 60'")
    wait_for((tmp_path / "said").exists)
    time.sleep(0.3)
    run.process.send_signal(signal.SIGTERM)
    lines = run.process.communicate(timeout=10)[0].splitlines()
    assert {"p0      | one", "p0      | two"} <= set(lines)
