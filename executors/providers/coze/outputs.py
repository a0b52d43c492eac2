"""What a workflow put out, as outputs of ours. Pure.

A workflow's output is whatever its end node says: text, JSON text, JSON text inside JSON text. The ability's metadata
names the fields (`coze_outputs`); without that, every value that is a link is an output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from executors.providers.base import Output, OutputKind

MAX_WRAPPINGS = 3
MAX_OUTPUTS = 50
MAX_DEPTH = 12
TAG = "coze"
_KINDS: Mapping[str, OutputKind] = {"images": "image", "videos": "video", "texts": "text", "files": "file"}
_SUFFIXES: Mapping[str, OutputKind] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"), "image"),
    **dict.fromkeys((".mp4", ".mov", ".webm", ".mkv", ".m4v"), "video"),
    **dict.fromkeys((".zip", ".pdf", ".json", ".txt", ".csv", ".psd", ".svg", ".mp3", ".wav"), "file"),
}
_LINK = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s,;]+(?=https?://)", re.IGNORECASE)
_ERROR_KEYS = ("$error", "error_msg", "error_message", "errorMessage", "err_msg", "error")
_QUEUE_ERROR = "ERR|"


def unwrap(output: Any) -> Any:
    """JSON text becomes what it says, three times at most; an object whose only key is `Output` gives its value."""
    value = output
    for _round in range(MAX_WRAPPINGS):
        parsed = _parse(value) if isinstance(value, str) else None
        if parsed is not None:
            value = parsed
        if isinstance(value, Mapping) and len(value) == 1 and "Output" in value:
            value = value["Output"]
        elif isinstance(value, Mapping) and set(value) == {"content_type", "data", "type_for_model"}:
            value = value["data"]  # how Coze Studio wraps the text of an end node
        elif parsed is None:
            break
    return value


def collect_outputs(value: Any, options: Mapping[str, Any]) -> tuple[Output, ...]:
    """The outputs in an unwrapped value: those `coze_outputs` names, else all links, else the value itself as text."""
    if named := options.get("coze_outputs"):
        return tuple(_named(value, named))[:MAX_OUTPUTS]
    promised = options.get("outputs") or {}
    fallback: OutputKind = "video" if "videos" in promised and "images" not in promised else "image"
    texts = list(_texts(value))
    links = list(dict.fromkeys(link for text in texts for link in links_in(text)))
    found = [link_output(link, fallback=fallback) for link in links]
    if "texts" in promised or not found:
        found += [Output(kind="text", text=text, tag=TAG) for text in _plain_texts(value, texts)]
    return tuple(found[:MAX_OUTPUTS])


def find_error(value: Any) -> str:
    """What went wrong inside a run that calls itself a success; empty when nothing says so."""
    if isinstance(value, str) and value.startswith(_QUEUE_ERROR):
        return value[:500]
    if not isinstance(value, Mapping):
        return ""
    for key in _ERROR_KEYS:
        problem = value.get(key)
        if isinstance(problem, Mapping):
            problem = problem.get("message") or problem.get("msg") or json.dumps(problem, ensure_ascii=False)
        if isinstance(problem, str) and problem.strip() and problem.strip().lower() not in ("success", "ok", "null"):
            return problem.strip()[:500]
    for item in value.values():
        if isinstance(item, str) and item.startswith(_QUEUE_ERROR):
            return item[:500]
    return ""


def links_in(text: str) -> list[str]:
    """The links of a text that consists of nothing else; a link inside a sentence is not a result."""
    parts = _SEPARATORS.split(text.strip())
    return parts if parts and all(_is_link(part) for part in parts) else []


def _is_link(text: str) -> bool:
    try:
        return bool(_LINK.fullmatch(text) and urlsplit(text).hostname)
    except ValueError:
        return False


def link_output(link: str, *, fallback: OutputKind = "file", kind: OutputKind | None = None) -> Output:
    path = PurePosixPath(unquote(urlsplit(link).path))
    kind = kind or _SUFFIXES.get(path.suffix.lower(), fallback)
    return Output(kind=kind, name=path.name[-120:], locator={"url": link}, source_url=link[:2000], tag=TAG)


def _named(value: Any, named: Mapping[str, Any]) -> Iterator[Output]:
    for group, kind in _KINDS.items():
        paths = named.get(group) or ()
        for path in [paths] if isinstance(paths, str) else paths:
            for found in _at(value, str(path).split(".")):
                yield from _as_outputs(found, kind)


def _as_outputs(found: Any, kind: OutputKind) -> Iterator[Output]:
    if kind == "text":
        if found not in (None, "", [], {}):
            text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
            yield Output(kind="text", text=text, tag=TAG)
        return
    links = (link for text in _texts(found) for link in links_in(text))
    yield from (link_output(link, kind=kind) for link in dict.fromkeys(links))


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """The values at a dotted path. `*` is every item of a list; JSON text on the way is opened."""
    if not path or path == [""]:
        yield value
        return
    value = unwrap(value)
    head, *rest = path
    if isinstance(value, list):
        chosen = value if head == "*" else value[int(head) : int(head) + 1] if head.isdecimal() else []
        for item in chosen:
            yield from _at(item, rest)
    elif isinstance(value, Mapping) and head in value:
        yield from _at(value[head], rest)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text in it, JSON text opened."""
    value = unwrap(value)
    if isinstance(value, str):
        yield value
    elif depth < MAX_DEPTH:
        items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for item in items:
            yield from _texts(item, depth + 1)


def _plain_texts(value: Any, texts: list[str]) -> list[str]:
    """What is there to read: the one text, or an object's own texts that are no links, or all of it as JSON."""
    if value in (None, "", [], {}):
        return []
    if isinstance(value, str):
        return [] if links_in(value) else [value]
    if any(links_in(text) for text in texts):
        own = value.values() if isinstance(value, Mapping) else ()
        return [item for item in own if isinstance(item, str) and item.strip() and not links_in(item)]
    plain = [item for item in value.values() if item not in (None, "")] if isinstance(value, Mapping) else []
    if len(plain) == 1 and isinstance(plain[0], str):
        return [plain[0]]
    return [json.dumps(value, ensure_ascii=False)]


def _parse(text: str) -> Any:
    """The object, list or text that a text spells as JSON; None for any other text, numbers too."""
    if text[:1] not in ("{", "[", '"'):
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict | list | str) else None
