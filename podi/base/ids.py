"""Ids: the plain ones of our rows and the `t1.` form that Coze and clients carry around."""

from __future__ import annotations

import re
import uuid

_HEX32 = re.compile(r"[0-9a-fA-F]{32}")


def new_id() -> str:
    """A row id: 32 lower-case hex digits."""
    return uuid.uuid4().hex


def new_ref() -> str:
    """An id we choose for a provider: a lower-case hyphenated UUID, the only form every ComfyUI accepts."""
    return str(uuid.uuid4())


def encode_task_id(raw: str, *, provider: str = "", executor_id: str = "") -> str:
    """`t1.<provider>.<executor>.<raw>`; dots inside the parts become underscores, an empty raw stays empty."""
    if not raw:
        return ""
    provider_part = (provider or "unknown").lower().replace(".", "_")
    executor_part = (executor_id or "auto").replace(".", "_")
    return f"t1.{provider_part}.{executor_part}.{raw}"


def decode_task_id(text: str) -> str:
    """The plain id behind either form; anything that is neither comes back unchanged."""
    text = text.strip()
    if _HEX32.fullmatch(text):
        return text.lower()
    parts = text.split(".")
    if parts[0] == "t1" and len(parts) >= 4 and _HEX32.fullmatch(parts[-1]):
        return parts[-1].lower()
    return text
