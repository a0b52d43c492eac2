"""How long and how large films and sounds are, asked of MediaInfo in a process of its own.

MediaInfo is native code that reads foreign files: there it may hang, crash or take memory without harm to the worker.
As a program (`python -m executors.providers.jianying.probe FILE...`) it prints one JSON object a line.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 60
_MEMORY_BYTES = 2 * 1024**3
_ROOT = Path(__file__).resolve().parents[3]


class ProbeFailed(Exception):
    """MediaInfo died or did not finish; which file it was is not known."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Zero where there is none of it."""

    video_us: int = 0
    audio_us: int = 0
    width: int = 0
    height: int = 0


def probe(paths: Sequence[Path]) -> list[Facts]:
    """The facts of each file, in order. Raises ProbeFailed."""
    if not paths:
        return []
    command = [sys.executable, "-m", "executors.providers.jianying.probe", *map(str, paths)]
    try:
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},  # no secrets of ours
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise ProbeFailed(f"no answer in {TIMEOUT_S} s") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != len(paths):
        raise ProbeFailed(f"exit {done.returncode} after {len(lines)} of {len(paths)} files")
    return [Facts(**json.loads(line)) for line in lines]


def _look(path: str) -> dict[str, int]:
    import pymediainfo  # only this process may load it

    info = pymediainfo.MediaInfo.parse(path, mediainfo_options={"File_TestContinuousFileNames": "0"})
    assert isinstance(info, pymediainfo.MediaInfo)  # a text only if asked for one
    general = info.general_tracks[0] if info.general_tracks else None
    found = {"video_us": 0, "audio_us": 0, "width": 0, "height": 0}
    if info.video_tracks:
        track = info.video_tracks[0]
        found["video_us"] = _micros(track.duration, general)
        found["width"], found["height"] = _whole(track.width), _whole(track.height)
    if info.audio_tracks:
        found["audio_us"] = _micros(info.audio_tracks[0].duration, general)
    return found


def _micros(duration: Any, general: Any) -> int:
    """MediaInfo's milliseconds, of the track or else of the whole file."""
    values: tuple[Any, ...] = (duration, getattr(general, "duration", None))
    for value in values:
        try:
            return max(0, round(float(value) * 1000))
        except (TypeError, ValueError, OverflowError):
            continue
    return 0


def _whole(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return 0


def main(paths: Sequence[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT_S, TIMEOUT_S))
    for path in paths:
        sys.stdout.write(json.dumps(_look(path)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
