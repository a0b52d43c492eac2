"""The `content` of a call: JSON text in one of the four wrappings that exports come in, down to the single drafts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from executors.providers.jianying.nodes import Findings, rejection

MAX_CHARS = 1_000_000
MAX_DRAFTS = 20
_MAX_WRAPPINGS = 3
_FIELD = "content"


class _Unusable(ValueError):
    pass


def find_drafts(content: str, findings: Findings) -> list[tuple[str, Any]]:
    """Each draft with its path; a single one has the path "". Raises ProviderRejected when there is none."""
    document = _parse(content)
    for _round in range(_MAX_WRAPPINGS):
        if isinstance(document, Mapping) and isinstance(document.get("output"), str) and "tracks" not in document:
            document = _parse(document["output"])  # a Coze node's output
    if not isinstance(document, Mapping):
        raise rejection({_FIELD: "Must be a JSON object: a draft, or what the export tool writes."})
    if "tracks" in document:
        return [("", document)]
    if "drafts" in document:
        return _exported(document, findings)
    for key, value in document.items():
        if (
            isinstance(value, list)
            and value
            and isinstance(value[0], Mapping)
            and {"tracks", "project"} & set(value[0])
        ):
            return _listed(str(key), value)
    raise rejection({_FIELD: "There is no draft in it: an object with `tracks`, or a list `drafts` of such objects."})


def _exported(document: Mapping[str, Any], findings: Findings) -> list[tuple[str, Any]]:
    drafts = document["drafts"]
    if not isinstance(drafts, list) or not drafts:
        raise rejection({"drafts": "Must be a list with at least one draft."})
    version = document.get("format_version")
    if version not in (None, "1.0"):
        findings.warn("format_version", f"PODI knows 1.0; this is {str(version)[:20]}.")
    count = document.get("draft_count")
    if count is not None and count != len(drafts):
        findings.refuse("draft_count", f"Says {str(count)[:20]}, but there are {len(drafts)} drafts.")
    if document.get("export_type") not in (None, "single_draft", "batch_draft"):
        findings.refuse("export_type", "Must be single_draft or batch_draft.")
    known = {"format_version", "export_type", "draft_count", "drafts", "export_timestamp", "exported_at"}
    for name in document.keys() - known:
        findings.warn(str(name), "PODI does not know this; it is not in the draft.")
    return _listed("drafts", drafts)


def _listed(key: str, drafts: list[Any]) -> list[tuple[str, Any]]:
    if len(drafts) > MAX_DRAFTS:
        raise rejection({key: f"At most {MAX_DRAFTS} drafts; there are {len(drafts)}."})
    return [(f"{key}[{position}]", draft) for position, draft in enumerate(drafts)]


def _parse(text: str) -> Any:
    """Strict: no NaN, no key twice (one of the two would be lost), no number beyond any sense, no abyss of brackets."""
    if len(text) > MAX_CHARS:
        raise rejection({_FIELD: f"At most {MAX_CHARS} characters."})
    try:
        return json.loads(
            text, object_pairs_hook=_without_doubles, parse_constant=_refuse_constant, parse_int=_bounded_integer
        )
    except json.JSONDecodeError as error:
        message = f"This is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."
    except RecursionError:
        message = "It is nested too deeply."
    except _Unusable as error:
        message = str(error)
    raise rejection({_FIELD: message})


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _value in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise _Unusable(f"The key {double[:64]!r} stands twice in one object.")
    return found


def _refuse_constant(text: str) -> Any:
    raise _Unusable(f"{text} is not a number in JSON.")


def _bounded_integer(text: str) -> int:
    if len(text) > 20:
        raise _Unusable("It holds a number of more than 20 digits.")
    return int(text)
