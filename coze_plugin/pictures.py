"""The many spellings in which workflows hand over pictures (contract 1.11). Pure: no addresses are visited.

Only names of this module and fields that an ability declares as pictures are read so. No other text ever becomes an
address, whatever it looks like (a prompt least of all).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

LIST_NAMES: Final = (
    "urls",
    "image_urls",
    "input_urls",
    "images",
    "imageList",
    "image_list",
    "fileList",
    "file_list",
    "files",
)
NAMES: Final = (
    "url",
    "imageUrl",
    "image_url",
    "image",
    "input_url",
    "inputUrl",
    "imageBase64",
    "image_base64",
    *LIST_NAMES,
)
_OBJECT_KEYS: Final = ("url", "ossUrl", "oss_url", "sourceUrl", "source_url", "imageUrl", "image_url", "base64")
_BETWEEN: Final = re.compile(r"[\r\n]+|[,，;；\s]+(?=https?://)")
"""Between two addresses: a line end, or a comma before the next address (a comma inside one stays)."""
MAX_PICTURES: Final = 50


def is_blank(value: Any) -> bool:
    """What Coze sends for a field nobody filled: nothing, an empty text, an empty list or object."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, list | dict):
        return all(is_blank(item) for item in (value.values() if isinstance(value, dict) else value))
    return value is None


def read(value: Any) -> list[str]:
    """Every address, data URL or base64 text in a value, in order, each once.

    Texts (several lines or a comma list too), JSON text of a list or object, lists, and objects with `url`, `ossUrl`...
    Raises ValueError with a sentence for what cannot be a picture.
    """
    found = list(dict.fromkeys(_read(value, depth=0)))
    if len(found) > MAX_PICTURES:
        raise ValueError(_("Too many pictures."))
    return found


def _read(value: Any, *, depth: int) -> list[str]:
    if is_blank(value):
        return []
    if isinstance(value, str):
        return _read_text(value.strip(), depth=depth)
    if isinstance(value, list) and depth < 4:
        return [picture for item in value for picture in _read(item, depth=depth + 1)]
    if isinstance(value, dict) and depth < 4:
        for key in _OBJECT_KEYS:
            if isinstance(value.get(key), str) and value[key].strip():
                return [value[key].strip()]
    raise ValueError(_("Send a picture as a URL, a list of URLs, or an object with `url`."))


def _read_text(text: str, *, depth: int) -> list[str]:
    if text[0] in "[{":
        try:
            return _read(json.loads(text), depth=depth + 1)
        except json.JSONDecodeError:
            raise ValueError(_("This looks like JSON and is none.")) from None
    if text.startswith("data:"):
        return [line.strip() for line in text.splitlines() if line.strip().startswith("data:")] or [text]
    return [part.strip(" ,，;；") for part in _BETWEEN.split(text) if part.strip(" ,，;；")]
