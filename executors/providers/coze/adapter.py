"""Coze: runs a workflow and asks the run history for its end, or waits for it, or listens to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from executors.providers.base import (
    Endpoint,
    Health,
    Order,
    Output,
    Parameter,
    Phase,
    Provider,
    ProviderError,
    ProviderSilent,
    ProviderUnintelligible,
    Report,
    Unsupported,
)
from executors.providers.coze import reports
from executors.providers.coze.requests import Run, read_run
from executors.providers.coze.service import Reply, Service
from executors.providers.links import open_link

HISTORY_DELAY_S = 30
"""So long after its start a run may be missing from the history and still be there."""
HISTORY_THREADS = 8
DEFAULT_TIMEOUT_S, MIN_TIMEOUT_S, MAX_TIMEOUT_S = 180.0, 5.0, 280.0
"""Of a run that is waited for. The upper end stays below the time after which a background job is given up."""
END_NODE_ID = "900001"


class CozeProvider(Provider):
    """One account on Coze's cloud or one Coze Studio.

    `coze_mode` of the ability chooses: `async` (the answer is quick, everything after it is safe polling), `sync` and
    `stream` (the answer is the end; an answer that is lost is SUBMIT_UNKNOWN, because Coze knows no id of ours).
    """

    kind = "coze"
    label = "Coze"
    parameters = (
        Parameter(
            name="base_url",
            label="Address",
            type="url",
            required=True,
            help="https://api.coze.cn, https://api.coze.com or your own Coze Studio.",
        ),
        Parameter(name="token", label="Access token", secret=True, help="A personal or service access token."),
        Parameter(name="oauth_app_id", label="OAuth app id", help="In place of a token: an OAuth app of the JWT kind."),
        Parameter(name="oauth_key_id", label="OAuth public key fingerprint"),
        Parameter(name="oauth_private_key", label="OAuth private key (PEM)", secret=True),
        Parameter(
            name="flavour",
            label="Kind of server",
            type="select",
            choices=("auto", "cloud", "studio"),
            default="auto",
            help="auto: cloud for coze.cn and coze.com, Coze Studio for any other address.",
        ),
        Parameter(
            name="files",
            label="Pictures are sent as",
            type="select",
            choices=("url", "upload"),
            default="url",
            help="url: a link to PODI that Coze must be able to reach. upload: the file itself.",
        ),
        Parameter(
            name="timeout_s",
            label="Longest wait for sync and streamed runs (seconds)",
            type="number",
            default=DEFAULT_TIMEOUT_S,
        ),
    )
    needs_executor = False
    poll_interval_s = 2.0

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.service = Service(endpoint)
        wanted = float(endpoint.options.get("timeout_s") or DEFAULT_TIMEOUT_S)
        self.timeout_s = min(max(wanted, MIN_TIMEOUT_S), MAX_TIMEOUT_S)

    def submit(self, order: Order) -> Report:
        files = str(self.endpoint.options.get("files") or "url")
        run = read_run(order, upload=self.service.upload, sends_files_as=files)
        if run.mode == "async":
            return self._start(run, order)
        report = self._run(run, order) if run.mode == "sync" else self._listen(run, order)
        return self.fit(report, order.options)

    def poll(self, refs: Sequence[str]) -> Mapping[str, Report]:
        """One request each, several at a time. What cannot be asked just now holds up nobody else."""
        places = [_Place.read(ref) for ref in dict.fromkeys(refs)]
        if not places:
            return {}
        with ThreadPoolExecutor(min(HISTORY_THREADS, len(places))) as threads:
            answers = list(threads.map(self._ask, places))
        errors = [answer for answer in answers if isinstance(answer, ProviderError)]
        if len(errors) == len(answers):
            raise errors[0]
        reports_of = {
            place.ref: Report(phase=Phase.RUNNING, ref=place.ref) if isinstance(answer, ProviderError) else answer
            for place, answer in zip(places, answers, strict=True)
        }
        return {ref: report for ref, report in reports_of.items() if report is not None}

    def fit(self, report: Report, options: Mapping[str, Any]) -> Report:
        return reports.fit(report, options)

    def open_output(self, output: Output) -> Iterator[bytes]:
        """Streams from the link the workflow gave. See `links.open_link` for the refusals."""
        if output.locator is None:
            raise Unsupported("This output is not behind a link.")
        return open_link(str(output.locator["url"]), self.endpoint)

    def probe(self) -> Health:
        """Asks who the token belongs to. A server that does not know the question, as Studio, is up all the same."""
        started = time.monotonic()
        try:
            answer = self.service.who_am_i()
        except ProviderError as error:
            return Health(is_up=False, message=error.message)
        latency_ms = round((time.monotonic() - started) * 1000, 1)
        if self.service.refuses_token(answer):
            return Health(is_up=False, message="Coze refuses the token.", latency_ms=latency_ms)
        if answer.status >= 500:
            return Health(is_up=False, message=f"Coze answers HTTP {answer.status}.", latency_ms=latency_ms)
        return Health(is_up=True, latency_ms=latency_ms, version="Coze Studio" if self.service.is_studio else "Coze")

    def _start(self, run: Run, order: Order) -> Report:
        reply = self.service.run({**run.body, "is_async": True}, request_id=order.task_id)
        if reply.code:
            return self._failed(reply, code="COZE_SUBMIT_FAILED")
        raw = reports.kept(reply.body, log_id=reply.log_id)
        execute_id = raw.get("execute_id", "")
        if not execute_id:
            raise ProviderUnintelligible(
                "Coze took the run but did not say which.", code="COZE_SUBMIT_MISSING_EXECUTE_ID", raw=raw
            )
        place = _Place(workflow_id=run.workflow_id, execute_id=execute_id, started_at=int(time.time()))
        raw.pop("output", None)
        return Report(phase=Phase.ACCEPTED, ref=place.ref, raw=raw)

    def _run(self, run: Run, order: Order) -> Report:
        reply = self.service.run({**run.body, "is_async": False}, request_id=order.task_id, timeout_s=self.timeout_s)
        if reply.code:
            return self._failed(reply, code="COZE_EXECUTION_FAILED")
        return reports.read_success(reports.kept(reply.body, log_id=reply.log_id), order.options)

    def _listen(self, run: Run, order: Order) -> Report:
        streamed = self.service.stream(run.body, request_id=order.task_id, timeout_s=self.timeout_s)
        if streamed.reply is not None:
            if streamed.reply.code:
                return self._failed(streamed.reply, code="COZE_EXECUTION_FAILED")
            raise ProviderUnintelligible("Coze answered a streamed run without a stream.", code="COZE_INVALID_RESPONSE")
        telling = reports.Telling(log_id=streamed.log_id)
        try:
            telling.listen(streamed.events)
        except ProviderError as error:
            error.raw = telling.raw
            if not telling.has_result:
                raise
        if telling.problem is not None:
            return telling.problem
        if not telling.has_result:
            raise ProviderSilent(
                "Coze ended the stream before the run had ended.", code="COZE_REQUEST_FAILED", raw=telling.raw
            )
        return reports.read_success(telling.raw, order.options)

    def _failed(self, reply: Reply, *, code: str) -> Report:
        raw = reports.kept(reply.body, log_id=reply.log_id) | {"code": reply.code}
        message = reply.message or f"Coze answered with code {reply.code}."
        return Report(phase=Phase.FAILED, code=code, message=message, raw=raw)

    def _ask(self, place: _Place) -> Report | ProviderError | None:
        try:
            entry = self.service.history(place.workflow_id, place.execute_id)
            if entry is None:
                is_young = time.time() - place.started_at < HISTORY_DELAY_S
                return Report(phase=Phase.RUNNING, ref=place.ref) if is_young else None
            if entry.get("is_output_trimmed") and not self.service.is_studio:
                entry = {**entry, "output": self._whole_output(place, entry)}
        except ProviderError as error:
            return error
        return reports.read_history(entry, ref=place.ref)

    def _whole_output(self, place: _Place, entry: Mapping[str, Any]) -> Any:
        """The end node's own output, where the history holds only its beginning."""
        nodes = entry.get("node_execute_status")
        ended = (
            [node for node in (nodes or {}).values() if isinstance(node, Mapping)] if isinstance(nodes, Mapping) else []
        )
        chosen = next((node for node in ended if str(node.get("node_id")) == END_NODE_ID), None)
        if chosen is None or not chosen.get("node_execute_uuid"):
            return entry.get("output")
        return self.service.node_output(place.workflow_id, place.execute_id, str(chosen["node_execute_uuid"]))


@dataclass(frozen=True, kw_only=True)
class _Place:
    """What a ref says: Coze knows a run by both ids, and the time tells a late run from a lost one."""

    workflow_id: str
    execute_id: str
    started_at: int

    @property
    def ref(self) -> str:
        return f"{self.workflow_id}:{self.execute_id}:{self.started_at}"

    @classmethod
    def read(cls, ref: str) -> _Place:
        workflow_id, _, rest = ref.partition(":")
        execute_id, _, started_at = rest.rpartition(":")
        if not (workflow_id and execute_id and started_at.isdecimal()):
            raise Unsupported("This is not the id of a Coze run.")
        return cls(workflow_id=workflow_id, execute_id=execute_id, started_at=int(started_at))
