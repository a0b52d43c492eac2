"""What of a payload may be shown or logged: cut, and without file contents (contract 5.12)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MAX_DEPTH = 6
MAX_ITEMS = 50
MAX_CHARS = 2000
OMITTED = "[omitted]"
TRUNCATED = "[truncated]"
_CONTENT_KEYS = frozenset(
    {"imagebase64", "image_base64", "resultimage", "result_image", "mask_base64", "payload", "file_content"}
)
_SECRET_PARTS = ("authorization", "secret", "password", "api_key", "apikey", "access_key", "accesskey", "cookie")


def redact(value: Any, *, max_chars: int = MAX_CHARS) -> Any:
    """A copy that is safe to keep: depth 6, lists of 50, long text cut, base64 and secrets left out."""
    return _redact(value, key="", depth=0, max_chars=max_chars)


def _redact(value: Any, *, key: str, depth: int, max_chars: int) -> Any:
    if isinstance(value, bytes | bytearray):
        return OMITTED
    if isinstance(value, str):
        return _redact_text(value, key=key.lower(), max_chars=max_chars)
    if isinstance(value, Mapping):
        if depth >= MAX_DEPTH:
            return TRUNCATED
        return {
            str(name): OMITTED
            if _is_secret(str(name))
            else _redact(item, key=str(name), depth=depth + 1, max_chars=max_chars)
            for name, item in value.items()
        }
    if isinstance(value, Sequence):
        if depth >= MAX_DEPTH:
            return TRUNCATED
        return [_redact(item, key=key, depth=depth + 1, max_chars=max_chars) for item in list(value)[:MAX_ITEMS]]
    if value is None or isinstance(value, bool | int):
        return value
    # NaN and infinity are no JSON, and what is neither text nor number is shown as text.
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _redact_text(text: str, *, key: str, max_chars: int) -> str:
    if key in _CONTENT_KEYS or key.endswith("base64") or text.startswith("data:image/"):
        return OMITTED
    return text if len(text) <= max_chars else text[:max_chars] + "…"


def _is_secret(name: str) -> bool:
    folded = name.lower().replace("-", "_")
    return any(part in folded for part in _SECRET_PARTS) or folded.endswith("token") or folded == "key"
