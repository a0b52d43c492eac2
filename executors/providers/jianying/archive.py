"""A built draft as the folder JianYing opens, in a zip: its two JSON files, and its materials beside them.

Everything in it follows from the order, ids and dates included: the same order gives the same bytes.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any, BinaryIO, cast

from executors.providers.jianying.materials import FOLDER, MaterialFile

CONTENT, META = "draft_content.json", "draft_meta_info.json"
_DATE = (1980, 1, 1, 0, 0, 0)  # zip's beginning of time; an order has no other
_MADE_ID = re.compile(r"[0-9a-f]{32}|[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_ID_KEYS = frozenset({"id", "material_id", "local_material_id", "music_id"})
_FORBIDDEN = re.compile(r'[<>:"/\\|?*#%&{}$!@`+=~^;]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def folder_name(name: str, *, seed: str) -> str:
    """The draft's name as a folder on any system, with eight letters of its own so that two drafts never meet."""
    safe = "".join(char for char in _FORBIDDEN.sub("_", name) if char.isprintable())
    safe = " ".join(safe.split())[:60].strip(". ")
    if not safe or _RESERVED.fullmatch(safe):
        safe = f"draft_{safe}".rstrip("_")
    return f"{safe}_{uuid.uuid5(uuid.NAMESPACE_OID, seed).hex[:8]}"


def content_of(script: Any, *, seed: str) -> dict[str, Any]:
    """The library's document with ids of our own, made from `seed` in the order in which they appear."""
    content = cast("dict[str, Any]", json.loads(script.dumps()))
    content["id"] = _made_id(seed, "content").upper()
    ids: dict[str, str] = {}

    def renamed(value: str) -> str:
        if not _MADE_ID.fullmatch(value):
            return value
        if value not in ids:
            made = _made_id(seed, str(len(ids)))
            ids[value] = made.upper() if "-" in value else made.replace("-", "")
        return ids[value]

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item, key) for item in value]
        is_id = isinstance(value, str) and (key in _ID_KEYS or key == "extra_material_refs")
        return renamed(value) if is_id else value

    content["materials"] = walk(content["materials"], "materials")
    content["tracks"] = walk(content["tracks"], "tracks")
    return content


def meta_of(*, folder: str, duration_us: int, seed: str) -> dict[str, Any]:
    """JianYing fills in the rest when it first opens the draft."""
    template = resources.files("pyJianYingDraft.assets").joinpath("draft_meta_info.json").read_text(encoding="utf-8")
    meta = cast("dict[str, Any]", json.loads(template))
    return meta | {"draft_id": _made_id(seed, "meta").upper(), "draft_name": folder, "tm_duration": duration_us}


def write_zip(folder: str, documents: Mapping[str, Any], materials: Iterable[MaterialFile]) -> Callable[[], BinaryIO]:
    """The archive, in a file without a name that vanishes with this process. The answer opens it at byte 0."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  (it is closed when the last reader lets go of it)
    with zipfile.ZipFile(file, "w") as archive:
        for name, document in documents.items():
            text = json.dumps(document, ensure_ascii=False, indent=2)
            archive.writestr(_entry(f"{folder}/{name}", zipfile.ZIP_DEFLATED), text.encode())
        for material in sorted({m.name: m for m in materials}.values(), key=lambda m: m.name):
            # Films and pictures are compressed already.
            entry = _entry(f"{folder}/{FOLDER}/{material.name}", zipfile.ZIP_STORED)
            entry.file_size = material.file.size_bytes
            with material.file.open() as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)

    def reopen() -> BinaryIO:
        file.seek(0)
        return cast("BinaryIO", file)

    return reopen


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_DATE)
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    return entry


def _made_id(seed: str, name: str) -> str:
    return str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_OID, seed), name))
