"""Names of stored files: made by us, never taken from a caller."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

ANONYMOUS = "anonymous"
_UNSAFE = re.compile(r"[^A-Za-z0-9_@.-]")


def object_key(owner_id: str | None, *, prefix: str, suffix: str, now: datetime) -> str:
    """`<prefix>/<userId|anonymous>/<YYYYMMDD UTC>/<8 hex>-<unix seconds><suffix|.bin>`; `now` must be aware."""
    day = now.astimezone(UTC).strftime("%Y%m%d")
    name = f"{secrets.token_hex(4)}-{int(now.timestamp())}{suffix or '.bin'}"
    return "/".join(part for part in (prefix.strip("/"), owner_folder(owner_id), day, name) if part)


def owner_folder(owner_id: str | None) -> str:
    """The folder of one owner: the id, with whatever could change the path taken out."""
    return _UNSAFE.sub("_", (owner_id or "").strip("/")).lstrip(".") or ANONYMOUS


def file_name_of(text: str) -> str:
    """A file name fit to show and to offer for download: the last part of a path, without control characters."""
    name = re.split(r"[/\\]", text.strip())[-1]
    name = "".join(char for char in name if char.isprintable()).strip(". ")
    return name[-200:]
