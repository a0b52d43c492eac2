"""From what Coze says of a run to a report. Pure.

`raw` holds what an operator needs (`debug_url`, `execute_id`, the output as it came) and `metadata`, which customers
see, none of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from executors.providers.base import Phase, Report, Usage
from executors.providers.coze.outputs import collect_outputs, find_error, unwrap
from executors.providers.server_events import ServerEvent

WORKFLOW_ERROR = "COZE_WORKFLOW_ERROR"
_END_TITLES = frozenset({"end", "结束"})
_ENDED_WELL, _ENDED_BADLY, _STOPPED = {"success"}, {"fail", "failed"}, {"cancel", "canceled", "cancelled"}


def read_success(raw: Mapping[str, Any], options: Mapping[str, Any], *, ref: str = "") -> Report:
    """A run that ended well by Coze's words; it still failed when all it put out is an error."""
    value = unwrap(raw.get("output"))
    outputs = collect_outputs(value, options)
    error = find_error(value)
    has_result = any(output.text is None for output in outputs) or (options.get("coze_outputs") and outputs)
    if error and not has_result:
        return Report(phase=Phase.FAILED, ref=ref, code=WORKFLOW_ERROR, message=error, raw=raw)
    return Report(
        phase=Phase.SUCCEEDED, ref=ref, progress=1.0, outputs=outputs, usage=_usage(raw.get("usage")), raw=raw
    )


def fit(report: Report, options: Mapping[str, Any]) -> Report:
    """The same run read again, now knowing what the ability says of its outputs."""
    is_ended_run = report.phase == Phase.SUCCEEDED or report.code == WORKFLOW_ERROR
    if not (is_ended_run and isinstance(report.raw, Mapping) and "output" in report.raw):
        return report
    return replace(read_success(report.raw, options, ref=report.ref), metadata=report.metadata)


def read_history(entry: Mapping[str, Any], *, ref: str) -> Report:
    """An entry of the run history. A status we do not know is a run that goes on: the task's deadline ends it."""
    status = str(entry.get("execute_status") or "").lower()
    raw = kept(entry)
    problem = str(entry.get("error_message") or entry.get("error_msg") or "").strip()
    if status in _ENDED_WELL:
        return read_success(raw, {}, ref=ref)
    if status in _ENDED_BADLY:
        message = problem or "The workflow failed on Coze."
        return Report(phase=Phase.FAILED, ref=ref, code="COZE_FAILED", message=message[:500], raw=raw)
    if status in _STOPPED:
        return Report(phase=Phase.CANCELLED, ref=ref, message="The run was stopped on Coze.", raw=raw)
    if status.startswith("interrupt"):
        return interrupted(raw, ref=ref)
    return Report(phase=Phase.RUNNING, ref=ref, raw=raw)


def interrupted(raw: Mapping[str, Any], *, ref: str = "") -> Report:
    message = "The workflow asks a question in the middle of its run; PODI cannot answer for the user."
    return Report(phase=Phase.FAILED, ref=ref, code="COZE_RUN_INTERRUPTED", message=message, raw=raw)


def kept(body: Mapping[str, Any], *, log_id: str = "") -> dict[str, Any]:
    """What of an answer is kept for the operator."""
    output = body.get("output", body.get("data"))
    found = {
        "debug_url": body.get("debug_url"),
        "execute_id": str(body.get("execute_id") or ""),
        "logid": body.get("logid") or log_id,
        "error_code": body.get("error_code"),
        "usage": body.get("usage"),
        "cost": body.get("cost"),
    }
    return {name: value for name, value in found.items() if value not in (None, "")} | {"output": output}


@dataclass
class Telling:
    """What a streamed run has told so far."""

    log_id: str = ""
    pieces: dict[str, list[str]] = field(default_factory=dict)
    """Text of each node that said something, in the order in which they began."""
    debug_url: str = ""
    usage: Any = None
    end_node: str = ""
    is_end_node_finished: bool = False
    is_done: bool = False
    problem: Report | None = None

    def listen(self, events: Iterable[ServerEvent]) -> None:
        """Takes events until the run has ended."""
        for event in events:
            self._take(event.event.lower(), _as_mapping(event.data))
            if self.is_done or self.problem is not None:
                return

    @property
    def has_result(self) -> bool:
        """The end node has spoken to its end: that is the result, even if the stream broke off right after."""
        return self.is_done or self.is_end_node_finished

    @property
    def raw(self) -> dict[str, Any]:
        found = {"debug_url": self.debug_url, "logid": self.log_id, "usage": self.usage}
        return {name: value for name, value in found.items() if value} | {"output": self.output}

    @property
    def output(self) -> str:
        """What the end node said; where none is marked as such, what the last node said."""
        name = self.end_node or next(reversed(self.pieces), "")
        return "".join(self.pieces.get(name, []))

    def _take(self, name: str, data: Mapping[str, Any]) -> None:
        self.debug_url = str(data.get("debug_url") or self.debug_url)
        if name == "message":
            self._hear(data)
        elif name == "interrupt":
            self.problem = interrupted(self.raw)
        elif name == "error":
            message = str(data.get("error_message") or data.get("msg") or "The workflow failed on Coze.")[:500]
            raw = self.raw | {"error_code": data.get("error_code")}
            self.problem = Report(phase=Phase.FAILED, code="COZE_EXECUTION_FAILED", message=message, raw=raw)
        elif name == "done":
            self.is_done = True

    def _hear(self, data: Mapping[str, Any]) -> None:
        node = str(data.get("node_title") or data.get("node_id") or "")
        self.pieces.setdefault(node, []).append(str(data.get("content") or ""))
        self.usage = data.get("usage") or self.usage
        if str(data.get("node_type") or "").lower() == "end" or node.lower() in _END_TITLES:
            self.end_node = node
            self.is_end_node_finished = bool(data.get("node_is_finish"))


def _as_mapping(data: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data) if data else {}
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, Mapping):
        return None
    given, made = usage.get("input_count"), usage.get("output_count")
    return Usage(
        input_tokens=given if isinstance(given, int) else None, output_tokens=made if isinstance(made, int) else None
    )
