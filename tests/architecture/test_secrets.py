"""Nothing that is committed is a usable secret or names somebody's machine."""

import re
import subprocess

import pytest

from tests.architecture.code import ROOT

PATTERNS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a cloud access key": re.compile(r"\b(LTAI[0-9A-Za-z]{12,}|AKIA[0-9A-Z]{16})\b"),
    "a vendor's key": re.compile(r"\bsk-[A-Za-z0-9]{32,}\b|\bgh[pousr]_[A-Za-z0-9]{30,}\b"),
    "a database address with a password": re.compile(
        r"\b(mysql|mariadb|postgres|redis)://[^\s:/@{$]+:(?!password@|nothing@|\{|\$)[^\s@{$]{4,}@(?!127\.0\.0\.1|localhost|database|host)"
    ),
    "a public address of a machine": re.compile(
        r"\b(?:47|39|8|101|106|110|112|114|116|118|119|120|121|122|123|124)\.(?:\d{1,3}\.){2}\d{1,3}:\d{2,5}\b"
    ),
}


def committed_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this copy is not a git checkout")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_committed_looks_like_a_usable_secret() -> None:
    found = []
    for name in committed_files():
        text = (ROOT / name).read_bytes()[:2_000_000].decode("utf-8", errors="ignore")
        found += [f"{name}: {what}" for what, pattern in PATTERNS.items() if pattern.search(text)]
    assert found == []


def test_no_environment_file_or_state_is_committed() -> None:
    names = committed_files()
    assert [name for name in names if name.split("/")[-1] == ".env" or name.startswith(("var/", ".venv/"))] == []
