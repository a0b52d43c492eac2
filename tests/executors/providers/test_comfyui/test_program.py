"""The simulated node as a program of its own, as `make demo` starts it."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
import requests


@pytest.mark.process
def test_runs_as_a_program_and_is_steered_over_http() -> None:
    command = [sys.executable, "-m", "tests.simulators.comfyui", "--port", "0", "--seconds-per-job", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            found = re.search(r"http://\S+", program.stdout.readline())
            assert found
            assert requests.get(f"{found[0]}/system_stats", timeout=5).ok
            assert requests.post(f"{found[0]}/_sim/restart", json={"seconds": 0.3}, timeout=5).ok
            time.sleep(0.25)
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{found[0]}/queue", timeout=5)
            time.sleep(0.6)
            assert requests.get(f"{found[0]}/queue", timeout=5).ok
            assert [entry["path"] for entry in requests.get(f"{found[0]}/_sim/journal", timeout=5).json()] == [
                "/system_stats",
                "/queue",
            ]
        finally:
            program.terminate()
            assert program.wait(10) == 0
