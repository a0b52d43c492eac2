"""The outbound HTTP of provider adapters: bounded, pooled, and clear about what a failure means.

It speaks to addresses an operator configured; links that a customer gave are fetched by `media`, which guards them.

What a failed exchange means depends on one question, may it be asked again:

- no connection (name, refusal, timeout, certificate): `ProviderUnreachable`, surely not taken;
- a failure after sending, `idempotent=False`: `ProviderSilent`, perhaps taken, never sent again blindly;
- a failure after sending, `idempotent=True`: `ProviderUnreachable`, because asking again harms nothing;
- an answer that is too long, or not the JSON it should be: `ProviderUnintelligible`.

An HTTP error status is an answer, not a failure: `request` returns it and the adapter reads it, `error_for` holds the
usual reading. Secrets of the endpoint never appear in a message or in `raw`.
"""

from __future__ import annotations

import io
import json as jsonlib
import math
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from executors.providers.base import (
    Endpoint,
    ProviderBusy,
    ProviderError,
    ProviderRefusedKey,
    ProviderRejected,
    ProviderSilent,
    ProviderUnintelligible,
    ProviderUnreachable,
)
from executors.providers.connections import session_for

CHUNK_BYTES = 64 * 1024
RAW_CHARACTERS = 2048
STREAM_TOTAL_S = 600.0
_TRANSPORT_FAILURES = (requests.RequestException, HTTPError, HTTPException, OSError)
_HANDSHAKE_REASONS = frozenset(
    {
        "CERTIFICATE_VERIFY_FAILED",
        "WRONG_VERSION_NUMBER",
        "UNSUPPORTED_PROTOCOL",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "HTTP_REQUEST",
    }
)


class Redactor:
    """Replaces the values of secrets, plain or percent-encoded, by stars. Values under four characters are left."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        values = {str(value) for value in secrets.values() if len(str(value)) >= 4}
        forms = {form for value in values for form in (value, quote(value, safe=""), quote_plus(value))}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "***")
        return text


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, whatever its status. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    redact: Redactor = field(default_factory=lambda: Redactor({}), repr=False, compare=False)

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    @property
    def excerpt(self) -> str:
        """The beginning of the body without our secrets: what may be kept as `raw`."""
        return self.redact(self.text)[:RAW_CHARACTERS]

    def json(self) -> Any:
        """The body as JSON. Raises ProviderUnintelligible where it is none."""
        try:
            return jsonlib.loads(self.body)
        except ValueError:
            pass
        raise ProviderUnintelligible(f"The answer (HTTP {self.status}) is not JSON.", raw=self.excerpt)

    @property
    def retry_after_s(self) -> float | None:
        """`Retry-After` in seconds from now, given as seconds or as a date; None where absent or unreadable."""
        value = self.headers.get("retry-after", "").strip()
        with suppress(ValueError):
            seconds = float(value)
            return max(0.0, seconds) if math.isfinite(seconds) else None
        with suppress(ValueError):
            moment = parsedate_to_datetime(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return max(0.0, (moment - datetime.now(UTC)).total_seconds())
        return None


@dataclass(frozen=True, kw_only=True)
class OpenAnswer:
    """An answer whose body is still to be read, once."""

    head: Answer
    """Status and header names; its body is empty."""
    chunks: Iterator[bytes] = field(repr=False)

    @property
    def is_ok(self) -> bool:
        return self.head.is_ok

    def read(self) -> Answer:
        """The answer with its whole body. Raises what reading it raises."""
        return replace(self.head, body=b"".join(self.chunks))


class Transport:
    """Requests to one origin, safe to use from several threads. `base_url` replaces the endpoint's address."""

    def __init__(self, endpoint: Endpoint, *, base_url: str = "") -> None:
        self.endpoint = endpoint
        self.base_url = (base_url or endpoint.base_url).strip().rstrip("/")
        self.redact = Redactor(endpoint.secrets)

    def request(
        self,
        method: str,
        path: str,
        *,
        idempotent: bool,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        max_bytes: int | None = None,
    ) -> Answer:
        """One exchange, its whole answer in memory. Redirects are not followed.

        `timeout_s` bounds all of it (default: the endpoint's read timeout), `max_bytes` the answer.
        """
        total_s = timeout_s or self.endpoint.read_timeout_s
        exchange = _Exchange(self, method, path, idempotent=idempotent, total_s=total_s, silence_s=total_s)
        response = exchange.send(json=json, data=data, files=files, headers=headers, params=params)
        body = b"".join(exchange.read(response, max_bytes=max_bytes or self.endpoint.max_response_bytes))
        return self._answer(response, body)

    def stream(
        self,
        method: str,
        path: str,
        *,
        idempotent: bool = True,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        max_bytes: int | None = None,
    ) -> Iterator[bytes]:
        """The body in chunks of at most 64 KiB. A status other than 2xx raises what `error_for` makes of it.

        `timeout_s` bounds all of it (default ten minutes), the endpoint's read timeout each silence in between.
        A body that ends before its announced length raises too: half a file is never passed off as a whole one.
        """
        opened = self.open(
            method,
            path,
            idempotent=idempotent,
            headers=headers,
            params=params,
            timeout_s=timeout_s,
            max_bytes=max_bytes,
        )
        if not opened.is_ok:
            raise error_for(opened.read(), idempotent=idempotent)
        yield from opened.chunks

    def open(
        self,
        method: str,
        path: str,
        *,
        idempotent: bool,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        silence_s: float | None = None,
        max_bytes: int | None = None,
    ) -> OpenAnswer:
        """The head of an answer of any status; its body is read once, from `chunks` or by `read`.

        Limits as in `stream`; `silence_s` replaces the endpoint's read timeout.
        """
        total_s = timeout_s or STREAM_TOTAL_S
        silence_s = silence_s or self.endpoint.read_timeout_s
        exchange = _Exchange(self, method, path, idempotent=idempotent, total_s=total_s, silence_s=silence_s)
        response = exchange.send(json=json, headers=headers, params=params)
        chunks = exchange.read(response, max_bytes=max_bytes or self.endpoint.max_response_bytes)
        return OpenAnswer(head=self._answer(response, b""), chunks=chunks)

    def _answer(self, response: requests.Response, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=headers, body=body, redact=self.redact)


class _Exchange:
    """One request and its answer, with its deadline. Failures leave here only as ProviderError."""

    def __init__(
        self, transport: Transport, method: str, path: str, *, idempotent: bool, total_s: float, silence_s: float
    ) -> None:
        self.transport = transport
        self.method = method
        self.url = f"{transport.base_url}/{path.lstrip('/')}"
        self.idempotent = idempotent
        self.total_s = total_s
        self.silence_s = silence_s
        self.ends_at = time.monotonic() + total_s
        self.host = _host_of(self.url)

    def send(self, **content: Any) -> requests.Response:
        """Sends and waits for the head of the answer."""
        endpoint = self.transport.endpoint
        timeouts = (min(endpoint.connect_timeout_s, self.total_s), min(self.silence_s, self.total_s))
        try:
            session = session_for(_origin_of(self.url))
            prepared = session.prepare_request(requests.Request(self.method, self.url, **content))
        except (requests.RequestException, ValueError) as error:
            reason = type(error).__name__
        else:
            if isinstance(prepared.body, bytes) and len(prepared.body) > CHUNK_BYTES:
                # In one piece the whole upload would have to fit into a single socket timeout.
                prepared.body = io.BytesIO(prepared.body)  # type: ignore[assignment]  # a file is a body too
            try:
                return session.send(prepared, timeout=timeouts, stream=True, allow_redirects=False)
            except _TRANSPORT_FAILURES as error:
                failure = self._failure(error)
            # Raised outside the handler: the library's own error, whose text holds the query, must not hang on it.
            raise failure
        raise ProviderUnreachable(
            f"The address or the request for {self.host or 'this executor'} is invalid ({reason})."
        )

    def read(self, response: requests.Response, *, max_bytes: int) -> Iterator[bytes]:
        """The body under its limits; the connection goes back to the pool only if it was read to the end."""
        failure: ProviderError | None = None
        size_bytes = 0
        chunks = response.iter_content(CHUNK_BYTES)
        with response:
            while failure is None:
                try:
                    chunk = next(chunks, b"")
                except _TRANSPORT_FAILURES as error:
                    failure = self._failure(error)
                    break
                if not chunk:
                    return
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    failure = ProviderUnintelligible(f"The answer of {self.host} is longer than {max_bytes} bytes.")
                elif time.monotonic() > self.ends_at:
                    failure = self._after_sending(f"{self.host} did not finish its answer in {self.total_s:g} s.")
                else:
                    yield chunk
        raise failure

    def _failure(self, error: BaseException) -> ProviderError:
        chain = list(_causes(error))
        if any(isinstance(cause, requests.ConnectTimeout) for cause in chain):
            return ProviderUnreachable(f"{self.host} did not accept a connection in time.")
        if any(isinstance(cause, NewConnectionError) for cause in chain):
            return ProviderUnreachable(f"No connection to {self.host}: {_connection_cause(chain)}.")
        tls = next((cause for cause in chain if isinstance(cause, ssl.SSLError)), None)
        if tls is not None and (isinstance(tls, ssl.SSLCertVerificationError) or tls.reason in _HANDSHAKE_REASONS):
            return ProviderUnreachable(f"No secure connection to {self.host}: {tls.reason or 'certificate refused'}.")
        if any(isinstance(cause, requests.Timeout | TimeoutError) for cause in chain) or "timed out" in str(error):
            return self._after_sending(f"{self.host} did not answer in time.")
        return self._after_sending(f"{self.host} closed the connection before its answer was complete.")

    def _after_sending(self, message: str) -> ProviderError:
        return ProviderUnreachable(message) if self.idempotent else ProviderSilent(message)


def error_for(answer: Answer, *, idempotent: bool) -> ProviderError:
    """The usual reading of an HTTP error status, for adapters whose provider says nothing better in the body.

    408, 425, 429, 503: busy. 401, 402, 403: the key. Other 4xx: rejected. Other 5xx: silent, or unreachable where it
    may be asked again. Anything else (a redirect, a 2xx that is none): unintelligible.
    """
    status, raw = answer.status, answer.excerpt
    if status in (408, 425, 429, 503):
        return ProviderBusy(f"The provider is busy (HTTP {status}).", retry_after_s=answer.retry_after_s, raw=raw)
    if status in (401, 402, 403):
        return ProviderRefusedKey(f"The provider refused the key (HTTP {status}).", raw=raw)
    if 400 <= status < 500:
        return ProviderRejected(f"The provider rejected the request (HTTP {status}).", raw=raw)
    if status >= 500:
        kind = ProviderUnreachable if idempotent else ProviderSilent
        return kind(f"The provider failed (HTTP {status}).", raw=raw)
    return ProviderUnintelligible(f"The provider answered HTTP {status}, which says nothing.", raw=raw)


def _host_of(url: str) -> str:
    """Host and port for messages, without a password that may stand before them."""
    with suppress(ValueError):
        return urlsplit(url).netloc.rpartition("@")[2]
    return ""


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http address")
    return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything it wraps, in whichever of the three ways the libraries wrap."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        pending += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]


def _connection_cause(chain: list[BaseException]) -> str:
    for cause in chain:
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if type(cause).__name__ in ("gaierror", "NameResolutionError"):
            return "its name is not known"
    return "not reachable"
