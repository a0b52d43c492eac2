"""Reads why a node refused a prompt. It says so in different words in different versions, and half of it in texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from executors.providers.base import ProviderRejected
from executors.providers.transport import Answer

SUBMIT_ERROR = "COMFYUI_SUBMIT_ERROR"
_SHOWN_IDS = 8
_OLD_MISSING_NODE = re.compile(r"because node (?P<name>.+) does not exist")
_UNIX_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s'\"/:,;]+/)+[^\s'\",;]*")
_WINDOWS_PATH = re.compile(r"(?<!\w)[A-Za-z]:\\[^\s'\",;]+|\\\\[^\s'\",;]+")
_SERVER_TROUBLE = "Server got itself in trouble"


def clean_text(text: str, *, max_length: int = 500) -> str:
    """A node's words without the folders of its machine, on one line, cut."""
    for pattern in (_WINDOWS_PATH, _UNIX_PATH):
        text = pattern.sub(_last_part, text)
    text = " ".join(text.split())
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def is_malformed(answer: Answer) -> bool:
    """Whether this is the bare 500 with which a node answers a request that it cannot read at all."""
    return answer.status == 500 and _SERVER_TROUBLE in answer.text


def read_refusal(answer: Answer) -> ProviderRejected:
    """The refusal in a 400, 413 or bare 500 answer to `POST /prompt` or an upload."""
    if answer.status == 413:
        return ProviderRejected(
            "The input is larger than the node takes (100 MiB).", code=SUBMIT_ERROR, raw=answer.text
        )
    if is_malformed(answer):
        return ProviderRejected(
            "The node could not read the request; the workflow is malformed.", code=SUBMIT_ERROR, raw=answer.excerpt
        )
    body = answer.json() if answer.body else {}
    if not isinstance(body, Mapping):
        return ProviderRejected(f"The node refused the work (HTTP {answer.status}).", code=SUBMIT_ERROR, raw=body)
    return refusal_of(body)


def refusal_of(body: Mapping[str, Any]) -> ProviderRejected:
    """The refusal that `error` and `node_errors` describe. `raw` also lists what the node lacks, under `missing`."""
    node_errors = as_mapping(body.get("node_errors"))
    raw = {**body, "missing": find_missing(body)}
    if node_errors:
        return ProviderRejected("; ".join(_describe(node_errors)), code=node_error_code(node_errors), raw=raw)
    error = body.get("error")
    if missing := raw["missing"].get("nodes"):
        return ProviderRejected(f"The node lacks these node types: {', '.join(missing)}.", code=SUBMIT_ERROR, raw=raw)
    if isinstance(error, Mapping):
        words = [str(error[key]) for key in ("message", "details") if error.get(key)]
        return ProviderRejected(clean_text(": ".join(dict.fromkeys(words))), code=SUBMIT_ERROR, raw=raw)
    return ProviderRejected(clean_text(str(error or "The node refused the work.")), code=SUBMIT_ERROR, raw=raw)


def node_error_code(node_errors: Mapping[str, Any]) -> str:
    """COMFYUI_SUBMIT_NODE_ERROR:[ids], with at most eight ids."""
    return f"COMFYUI_SUBMIT_NODE_ERROR:[{','.join(list(node_errors)[:_SHOWN_IDS])}]"


def dropped_outputs(node_errors: Mapping[str, Any]) -> set[str]:
    """The output nodes that an accepted prompt will not run, because something they depend on is invalid."""
    return {
        str(output) for entry in node_errors.values() for output in as_mapping(entry).get("dependent_outputs") or ()
    }


def find_missing(body: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the node lacks: `nodes` (types), and for every input with a choice list the value that is not on it."""
    missing: dict[str, list[str]] = {}
    if name := _missing_node(as_mapping(body.get("error"))):
        missing["nodes"] = [name]
    for entry in as_mapping(body.get("node_errors")).values():
        for error in as_mapping(entry).get("errors") or ():
            if error.get("type") == "value_not_in_list":
                extra = as_mapping(error.get("extra_info"))
                missing.setdefault(str(extra.get("input_name")), []).append(str(extra.get("received_value")))
    return missing


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one: node packs put anything anywhere."""
    return value if isinstance(value, Mapping) else {}


def _missing_node(error: Mapping[str, Any]) -> str:
    """The missing node type: 0.25 has it in extra_info, 0.3 only inside the message."""
    if error.get("type") == "missing_node_type":
        return str(as_mapping(error.get("extra_info")).get("class_type") or "")
    match = _OLD_MISSING_NODE.search(str(error.get("message") or ""))
    return match["name"] if match else ""


def _describe(node_errors: Mapping[str, Any]) -> Iterator[str]:
    for node_id, entry in list(node_errors.items())[:_SHOWN_IDS]:
        words = [_describe_error(error) for error in as_mapping(entry).get("errors") or ()]
        yield f"{as_mapping(entry).get('class_type') or 'node'} (node {node_id}): {', '.join(words) or 'invalid'}"


def _describe_error(error: Mapping[str, Any]) -> str:
    extra = as_mapping(error.get("extra_info"))
    name, received = extra.get("input_name"), extra.get("received_value")
    if error.get("type") == "value_not_in_list":
        return f"{name} {clean_text(str(received), max_length=120)!r} is not on this node"
    words = [str(error[key]) for key in ("message", "details") if error.get(key)]
    return clean_text(" - ".join(words), max_length=240)


def _last_part(match: re.Match[str]) -> str:
    path = match[0].rstrip("/\\")
    return re.split(r"[/\\]", path)[-1]
