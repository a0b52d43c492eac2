"""Reads a history entry: how a run ended, what it made, how long it took. Pure functions on recorded shapes."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from executors.providers.base import Output, OutputKind, Phase, Report, Usage
from executors.providers.comfyui.refusals import as_mapping, clean_text

OUR_DATA = "podi"
"""Our key in `extra_data`; the node gives it back with the entry, so a poll knows which outputs were asked for."""

_TEXT_KEYS = frozenset({"text", "string", "texts"})
_ENDS = ("execution_success", "execution_error", "execution_interrupted")
_UNSHOWN = frozenset({"current_inputs", "current_outputs"})


def read_entry(ref: str, entry: Mapping[str, Any]) -> Report:
    """The final report of an entry of `/history/{id}`. An entry exists only once the run has ended."""
    messages = dict(_read_messages(entry))
    metadata = _read_timing(messages) | _read_queueing(entry)
    raw = {"status": _trim_status(entry), "outputs": entry.get("outputs")}
    usage = Usage(seconds=metadata.get("duration_s"))
    if "execution_interrupted" in messages:
        return Report(
            phase=Phase.CANCELLED, ref=ref, message="The run was interrupted.", metadata=metadata, usage=usage, raw=raw
        )
    if "execution_error" in messages or as_mapping(entry.get("status")).get("status_str") == "error":
        message, details = _read_error(as_mapping(messages.get("execution_error")))
        return Report(
            phase=Phase.FAILED,
            ref=ref,
            code="COMFYUI_ERROR",
            message=message,
            metadata=metadata | details,
            usage=usage,
            raw=raw,
        )
    wanted = wanted_outputs(entry)
    metadata |= _read_shortfall(entry, wanted)
    outputs = tuple(read_outputs(as_mapping(entry.get("outputs")), wanted))
    if not outputs:
        return Report(
            phase=Phase.FAILED,
            ref=ref,
            code="COMFYUI_IMAGES_EMPTY",
            message="The run ended without a result in the output nodes of the workflow.",
            metadata=metadata,
            usage=usage,
            raw=raw,
        )
    return Report(
        phase=Phase.SUCCEEDED, ref=ref, progress=1.0, outputs=outputs, metadata=metadata, usage=usage, raw=raw
    )


def wanted_outputs(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The output nodes that were asked for at submit, as the entry gives them back; empty means all."""
    prompt = entry.get("prompt")
    extra = as_mapping(prompt[3]) if isinstance(prompt, list) and len(prompt) > 3 else {}
    return tuple(str(node) for node in as_mapping(extra.get(OUR_DATA)).get("output_node_ids") or ())


def read_outputs(outputs: Mapping[str, Any], wanted: Sequence[str]) -> Iterator[Output]:
    """The results of the wanted nodes, in their order; without a wish, of all nodes by their number.

    Previews (`temp`) are results only of nodes that were asked for by name.
    """
    for node_id in wanted or sorted(outputs, key=_node_order):
        for key, values in as_mapping(outputs.get(node_id)).items():
            for value in values if isinstance(values, list) else [values]:
                output = _read_output(node_id, key, value, keeps_temp=node_id in wanted)
                if output is not None:
                    yield output


def _read_output(node_id: str, key: str, value: Any, *, keeps_temp: bool) -> Output | None:
    if isinstance(value, str) and key in _TEXT_KEYS:
        return Output(kind="text", text=value, metadata={"node_id": node_id})
    if not isinstance(value, Mapping) or not value.get("filename"):
        return None
    kept_in = str(value.get("type") or "output")
    if kept_in == "temp" and not keeps_temp:
        return None
    name = str(value["filename"])
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Output(
        kind=_kind_of(content_type),
        name=PurePosixPath(name).name,
        content_type=content_type,
        locator={"filename": name, "subfolder": str(value.get("subfolder") or ""), "type": kept_in},
        metadata={"node_id": node_id},
    )


def _kind_of(content_type: str) -> OutputKind:
    if content_type.startswith("image/"):
        return "image"
    return "video" if content_type.startswith("video/") else "file"


def _node_order(node_id: str) -> tuple[int, int, str]:
    return (0, int(node_id), "") if node_id.isdecimal() else (1, 0, node_id)


def _read_messages(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for message in as_mapping(entry.get("status")).get("messages") or ():
        if isinstance(message, list) and len(message) == 2:
            yield str(message[0]), as_mapping(message[1])


def _read_timing(messages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Start, end and duration by the node's own clock; only the difference means something to us."""
    started = as_mapping(messages.get("execution_start")).get("timestamp")
    ended = next((messages[name].get("timestamp") for name in _ENDS if name in messages), None)
    timing: dict[str, Any] = {}
    if isinstance(started, int) and isinstance(ended, int):
        timing = {"started_at_ms": started, "ended_at_ms": ended, "duration_s": max(0, ended - started) / 1000}
    if cached := as_mapping(messages.get("execution_cached")).get("nodes"):
        timing["cached_nodes"] = cached
    return timing


def _read_queueing(entry: Mapping[str, Any]) -> dict[str, Any]:
    prompt = entry.get("prompt")
    return {"number": prompt[0]} if isinstance(prompt, list) and prompt else {}


def _read_shortfall(entry: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """The wanted output nodes that the node did not even try, because they were invalid at submit."""
    prompt = entry.get("prompt")
    if not wanted or not isinstance(prompt, list) or len(prompt) < 5:
        return {}
    dropped = [node for node in wanted if node not in prompt[4]]
    return {"dropped_outputs": dropped} if dropped else {}


def _read_error(error: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = str(error.get("exception_type") or "error")
    # Behind the first empty line are tips for people at the node.
    words = clean_text(str(error.get("exception_message") or "no reason given").split("\n\n")[0])
    place = f"{error.get('node_type') or 'A node'} (node {error.get('node_id') or '?'})"
    details = {"exception_type": kind, "node_id": error.get("node_id"), "node_type": error.get("node_type")}
    if kind.endswith("OutOfMemoryError"):
        details["out_of_memory"] = True
    return f"{place} failed with {kind.rpartition('.')[2]}: {words}", details


def _trim_status(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The status for the operator, without the printed inputs: they hold prompts and pages of pixel values."""
    status = as_mapping(entry.get("status"))
    messages = [
        [name, {key: value for key, value in body.items() if key not in _UNSHOWN}]
        for name, body in _read_messages(entry)
    ]
    return {**status, "messages": messages}
