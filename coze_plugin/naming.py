"""Names: the short operation ids that Coze takes, the groups of documents, and the paths of tools. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

PREFIX: Final = "/api/coze/podi"
MAX_OPERATION_ID: Final = 30
TASK_GET: Final = "podi_task_get"
QUEUE_SUMMARY: Final = "podi_comfyui_queue_summary"
GROUPS: Final = {
    "utils": ("podi", "PODI Utils"),
    "comfyui": ("comfyui", "PODI ComfyUI"),
    "kie": ("kie", "PODI KIE"),
    "baidu": ("baidu", "PODI Baidu"),
    "volcengine": ("volcengine", "PODI Volcengine"),
}
"""Address of a filtered document: its provider and its title."""
_SHORT: Final = (
    ("volcengine", "volc"),
    ("image_to_image", "i2i"),
    ("image_to_video", "i2v"),
    ("text_to_image", "t2i"),
    ("text_to_video", "t2v"),
    ("background", "bg"),
    ("transparent", "alpha"),
    ("doubao", "db"),
)
_MARK_CHARS: Final = 4


def tool_path(provider: str, capability_key: str) -> str:
    return f"{PREFIX}/tools/{quote(provider, safe='')}/{quote(capability_key, safe='')}"


def operation_id(provider: str, capability_key: str) -> str:
    """`podi_<provider>_<key>` where Coze takes it, else a short form that follows from the two alone.

    Well-known words are abbreviated first; what is still too long is cut at a word and gets a mark of the full name.
    """
    full = f"podi_{provider}_{capability_key}"
    plain = re.sub(r"[^A-Za-z0-9_]", "_", full)
    if plain == full and len(full) <= MAX_OPERATION_ID:
        return full
    short = plain
    for long, abbreviated in _SHORT:
        if len(short) <= MAX_OPERATION_ID:
            break
        short = re.sub(rf"(?<![A-Za-z0-9]){long}(?![A-Za-z0-9])", abbreviated, short)
    if plain == full and len(short) <= MAX_OPERATION_ID:
        return short
    return _marked(short, full)


def operation_ids(names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """One id for each (provider, key); two that would be called the same are told apart by their marks."""
    found = {name: operation_id(*name) for name in sorted(set(names))}
    taken = list(found.values())
    return {
        name: short if taken.count(short) == 1 or short == "_".join(("podi", *name)) else _marked(short, "/".join(name))
        for name, short in found.items()
    }


def _marked(short: str, full: str) -> str:
    mark = hashlib.sha256(full.encode()).hexdigest()[:_MARK_CHARS]
    room = MAX_OPERATION_ID - _MARK_CHARS - 1
    if len(short) > room:
        cut = short[:room]
        short = cut if short[room] == "_" else cut.rpartition("_")[0] or cut
    return f"{short.strip('_')}_{mark}"
