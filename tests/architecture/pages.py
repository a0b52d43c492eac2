"""What a person reads on a page: its text and the attributes that are shown, without code and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Final

PROPER: Final = frozenset(
    [
        "PODI",
        "ComfyUI",
        "Coze",
        "Studio",
        "OAuth",
        "KIE",
        "Pillow",
        "JSON",
        "CSV",
        "YAML",
        "HTTP",
        "HTTPS",
        "URL",
        "URI",
        "API",
        "ID",
        "IDs",
        "IP",
        "CIDR",
        "SHA",
        "UTC",
        "dpi",
        "DPI",
        "ICC",
        "CMYK",
        "OSS",
        "Baidu",
        "Volcengine",
        "Aliyun",
        "OpenAI",
        "Django",
        "Redis",
        "MySQL",
        "MariaDB",
        "SQLite",
        "curl",
        "PNG",
        "JPEG",
        "WebP",
        "GIF",
        "TIFF",
        "BMP",
        "MB",
        "MiB",
        "KB",
        "px",
        "ms",
        "min",
        "English",
        "base64",
        "Accept",
        "Authorization",
        "Bearer",
        "podi",
        "comfyui",
        "coze",
        "kie",
        "baidu",
        "volcengine",
        "openai",
        "aliyun",
        "jianying",
        "CNY",
        "USD",
        "JWT",
        "UUID",
        "PEM",
        "GPU",
        "Webhooks",
        "Standard",
        "Retry",
        "After",
        "data",
        "EN",
        "SK",
        "AK",
        "Cron",
        "ETag",
        "True",
        "False",
        "None",
    ]
)
"""Names, units, formats and stored words that are the same in every language."""
QUOTED: Final = (
    "Token / API key",
    "Service",
    "Header",
    "dryRun",
    "Control",
    "Mac",
    "Command",
    "LDAP",
    "kwarg",
    "John",
    "PODI Utils",
    "admin",
    "true",
)
"""What stands in a sentence because it is written so elsewhere: on a keyboard, on a page of Coze's."""
_HIDDEN: Final = frozenset({"script", "style", "code", "pre", "textarea", "svg", "time", "kbd", "samp"})
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr", "source", "col", "area", "base", "embed"})
_SHOWN: Final = ("title", "placeholder", "aria-label", "alt", "data-title")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'’]+")
_NO_PROSE: Final = re.compile(
    r"`[^`]*`|https?://\S+|\S+@\S+|\S*[/_=]\S*|[\w.-]*\d[\w.-]*|\w+(?:[.:]\w+)+|\{[^}]*\}|<[^>]*>|\b[A-Z][A-Z_]{3,}\b"
)
"""Quoted code, addresses, paths, names with digits or underscores, constants."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if not self._hidden:
            self.texts += [text for name in _SHOWN if (text := values.get(name))]
            if tag == "input" and values.get("type") in ("submit", "button", "reset"):
                self.texts.append(values.get("value") or "")
        if tag not in _VOID and (self._hidden or tag in _HIDDEN or values.get("translate") == "no"):
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag not in _VOID:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.texts.append(data.strip())


def read_texts(html: str) -> list[str]:
    """All texts of a page, in their order."""
    reader = _Reader()
    reader.feed(html)
    return reader.texts


def find_english(html: str, *, values: Sequence[str] = ()) -> list[str]:
    """The texts with English words in them that are no proper names and do not come from these values."""
    found = []
    for text in read_texts(html):
        rest = text
        for value in (*values, *QUOTED):
            rest = rest.replace(value, " ")
        words = [word for word in _WORD.findall(_NO_PROSE.sub(" ", rest)) if word not in PROPER]
        if words:
            found.append(text[:120])
    return list(dict.fromkeys(found))
