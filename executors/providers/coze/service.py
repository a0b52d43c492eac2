"""The calls of Coze's open API that runs need, and what its refusals mean. Nothing of ours is decided here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from executors.providers.base import (
    Endpoint,
    InputFile,
    ProviderBusy,
    ProviderError,
    ProviderRefusedKey,
    ProviderRejected,
    ProviderSilent,
    ProviderUnintelligible,
    ProviderUnreachable,
)
from executors.providers.coze.tokens import Tokens
from executors.providers.server_events import EventTooLong, ServerEvent, read_events
from executors.providers.transport import Answer, OpenAnswer, Transport, error_for

CLOUD_HOSTS = ("coze.cn", "coze.com")
NOT_FOUND = frozenset({4200, 720702004})
_KEY = frozenset({4027, 4028, 4100, 4101, 700012006})
_BUSY = frozenset({4008, 4009, 4013})
_REJECTED = frozenset({400, 4000, 6031, 720702002, 720702004, 720702011, *NOT_FOUND})
_BROKEN = frozenset({500, 5000})


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer in JSON. `code` 0 means fine; `log_id` is what Coze's support asks for."""

    body: Mapping[str, Any]
    code: int = 0
    message: str = ""
    log_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """A run that is being told. `reply` instead of events where it was refused with an error of its own."""

    log_id: str
    events: Iterator[ServerEvent] = field(default_factory=lambda: iter(()))
    reply: Reply | None = None


class Service:
    """One address and one account. Codes of what goes wrong on the way: COZE_REQUEST_FAILED, COZE_HTTP_<n>,
    COZE_RESPONSE_NOT_JSON, COZE_INVALID_RESPONSE."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.transport = Transport(endpoint)
        self.tokens = Tokens(endpoint, self.transport)
        flavour = endpoint.options.get("flavour") or "auto"
        host = urlsplit(endpoint.base_url).hostname or ""
        self.is_studio = flavour == "studio" or (
            flavour != "cloud" and not any(host == name or host.endswith(f".{name}") for name in CLOUD_HOSTS)
        )

    def run(self, body: Mapping[str, Any], *, request_id: str, timeout_s: float | None = None) -> Reply:
        """Starts a run, once. Raises for what was refused before it ran; any other failure is in the reply."""
        answer = self._send("POST", "/v1/workflow/run", json=body, request_id=request_id, timeout_s=timeout_s)
        return self._read_run(answer)

    def stream(self, body: Mapping[str, Any], *, request_id: str, timeout_s: float) -> Streamed:
        """Starts a run and listens. The events raise ProviderSilent where the stream breaks off."""
        opened = self._open(body, request_id=request_id, timeout_s=timeout_s)
        log_id = opened.head.headers.get("x-tt-logid", "")
        if opened.is_ok and "event-stream" in opened.head.headers.get("content-type", ""):
            return Streamed(log_id=log_id, events=_events(opened))
        return Streamed(log_id=log_id, reply=self._read_run(opened.read()))

    def history(self, workflow_id: str, execute_id: str) -> Mapping[str, Any] | None:
        """What became of a run; None where Coze has no entry (yet)."""
        ids = {"workflow_id": workflow_id, "execute_id": execute_id}
        if self.is_studio:
            answer = self._send("GET", "/v1/workflow/get_run_history", params=ids, idempotent=True)
        else:
            answer = self._send("GET", _history_path(workflow_id, execute_id), idempotent=True)
        reply = self._read(answer, idempotent=True)
        if reply.code in NOT_FOUND:
            return None
        if reply.code:
            raise _refusal(reply, answer, idempotent=True, code="COZE_HISTORY_FAILED") or ProviderUnreachable(
                f"Coze did not say what became of the run: {reply.message}", code="COZE_HISTORY_FAILED"
            )
        entries = reply.body.get("data")
        entry = entries[0] if isinstance(entries, list) and entries else entries
        if not entry:
            return None
        if not isinstance(entry, Mapping):
            raise ProviderUnintelligible(
                "Coze's record of the run cannot be read.", code="COZE_INVALID_RESPONSE", raw=answer.excerpt
            )
        return {**entry, "logid": entry.get("logid") or entry.get("log_id") or reply.log_id}

    def node_output(self, workflow_id: str, execute_id: str, node_uuid: str) -> str:
        """The whole output of one node, where the history cut it."""
        path = f"{_history_path(workflow_id, execute_id)}/execute_nodes/{quote(node_uuid, safe='')}"
        answer = self._send("GET", path, idempotent=True)
        data = self._read(answer, idempotent=True).body.get("data")
        output = data.get("node_output") if isinstance(data, Mapping) else None
        if not isinstance(output, str):
            raise ProviderUnreachable("Coze did not give the whole output of the run.", code="COZE_HISTORY_FAILED")
        return output

    def upload(self, file: InputFile) -> str:
        """The id under which Coze keeps the file. Repeating it harms nothing, so a failure means: nothing was run."""
        with file.open() as stream:
            answer = self._send(
                "POST",
                "/v1/files/upload",
                idempotent=True,
                files={"file": (file.name or "image", stream.read(), file.content_type)},
            )
        reply = self._read(answer, idempotent=True)
        data = reply.body.get("data")
        if reply.code or not isinstance(data, Mapping) or not data.get("id"):
            raise _refusal(reply, answer, idempotent=True, code="COZE_UPLOAD_FAILED") or ProviderRejected(
                f"Coze did not take the file: {reply.message or 'no id in its answer'}", code="COZE_UPLOAD_FAILED"
            )
        return str(data["id"])

    def who_am_i(self) -> Answer:
        """A cheap question with the token. Its answer says whether the address lives and the token is taken."""
        return self._send("GET", "/v1/users/me", idempotent=True)

    def refuses_token(self, answer: Answer) -> bool:
        reply = _parse(answer)
        return answer.status in (401, 403) or (reply is not None and reply.code in (4100, 700012006))

    def _send(
        self, method: str, path: str, *, idempotent: bool = False, request_id: str = "", **content: Any
    ) -> Answer:
        headers = self.tokens.header() | ({"X-Request-ID": request_id} if request_id else {})
        problem: ProviderError
        try:
            answer = self.transport.request(method, path, idempotent=idempotent, headers=headers, **content)
        except ProviderError as error:
            problem = error
        else:
            if answer.status == 401:
                self.tokens.drop()
            return answer
        raise _named(problem)

    def _open(self, body: Mapping[str, Any], *, request_id: str, timeout_s: float) -> OpenAnswer:
        headers = self.tokens.header() | {"X-Request-ID": request_id, "Accept": "text/event-stream"}
        problem: ProviderError
        try:
            return self.transport.open(
                "POST",
                "/v1/workflow/stream_run",
                idempotent=False,
                json=body,
                headers=headers,
                timeout_s=timeout_s,
                silence_s=timeout_s,
            )
        except ProviderError as error:
            problem = error
        raise _named(problem)

    def _read_run(self, answer: Answer) -> Reply:
        reply = self._read(answer, idempotent=False)
        if refusal := _refusal(reply, answer, idempotent=False, code="COZE_SUBMIT_FAILED"):
            raise refusal
        return reply

    def _read(self, answer: Answer, *, idempotent: bool) -> Reply:
        """The reply behind an answer. The HTTP status counts first, then `code`, then Studio's `BaseResp`."""
        reply = _parse(answer)
        if answer.is_ok:
            if reply is None:
                raise ProviderUnintelligible(
                    "Coze's answer is not a JSON object.", code="COZE_RESPONSE_NOT_JSON", raw=answer.excerpt
                )
            return reply
        if reply is not None and reply.code in NOT_FOUND:
            return reply
        code = f"COZE_HTTP_{answer.status}"
        if reply is not None and (refusal := _refusal(reply, answer, idempotent=idempotent, code=code)):
            raise refusal
        error = error_for(answer, idempotent=idempotent)
        error.code = code
        if reply is not None and reply.message:
            error.message = f"{error.message} {reply.message}"
        raise error


def _history_path(workflow_id: str, execute_id: str) -> str:
    return f"/v1/workflows/{quote(workflow_id, safe='')}/run_histories/{quote(execute_id, safe='')}"


def _parse(answer: Answer) -> Reply | None:
    """None where the body is not a JSON object."""
    try:
        body = answer.json()
    except ProviderUnintelligible:
        return None
    if not isinstance(body, Mapping):
        return None
    inner = body.get("BaseResp")
    inner = inner if isinstance(inner, Mapping) else {}
    detail = body.get("detail")
    log_id = answer.headers.get("x-tt-logid") or (detail.get("logid") if isinstance(detail, Mapping) else "") or ""
    code = _number(body.get("code")) or _number(inner.get("StatusCode"))
    message = body.get("msg") or body.get("message") or inner.get("StatusMessage") or ""
    return Reply(body=body, code=code, message=answer.redact(str(message))[:500], log_id=str(log_id))


def _number(value: Any) -> int:
    """Codes come as numbers and as texts; what is neither counts as an unknown failure."""
    if value in (None, "", False):
        return 0
    try:
        return int(value)
    except (TypeError, ValueError):
        return -1


def _refusal(reply: Reply, answer: Answer, *, idempotent: bool, code: str) -> ProviderError | None:
    """What a code says where it is known to mean that nothing ran; None for any other."""
    message, raw = f"Coze: {reply.message or reply.code} ({reply.code})", answer.excerpt
    if reply.code in _KEY:
        return ProviderRefusedKey(message, code=code, raw=raw)
    if reply.code in _BUSY:
        return ProviderBusy(message, code=code, retry_after_s=answer.retry_after_s, raw=raw)
    if reply.code in _REJECTED:
        return ProviderRejected(message, code=code, raw=raw)
    if reply.code in _BROKEN:
        return (ProviderUnreachable if idempotent else ProviderSilent)(message, code=code, raw=raw)
    return None


def _events(opened: OpenAnswer) -> Iterator[ServerEvent]:
    try:
        yield from read_events(opened.chunks)
    except EventTooLong:
        raise ProviderUnintelligible("An event of the run is too long.", code="COZE_INVALID_RESPONSE") from None


def _named(error: ProviderError) -> ProviderError:
    """The transport's failures under the contract's code."""
    if error.code == error.default_code:
        error.code = "COZE_INVALID_RESPONSE" if isinstance(error, ProviderUnintelligible) else "COZE_REQUEST_FAILED"
    return error
