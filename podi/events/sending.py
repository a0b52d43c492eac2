"""One attempt over the wire: what goes out, what came back, and what that means. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from podi.base import http as outbound
from podi.events import signing

TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 4096
MAX_RETRY_AFTER_S = 12 * 3600
USER_AGENT = "PODI-Webhooks/1"


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """Everything one attempt needs: plain data, no model."""

    message_id: str
    url: str
    headers: Mapping[str, str]
    body: str
    secrets: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an attempt."""

    started_at: datetime
    duration_ms: int
    status: int | None = None
    answer: str = ""
    error: str = ""
    retry_after_s: float | None = None
    is_final: bool = False
    """No further attempt can help."""

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def send(parcel: Parcel, *, allowed_networks: Sequence[str]) -> Outcome:
    """POST once, signed, following no redirect. A failure is an Outcome, not an exception."""
    started_at = datetime.now(UTC)
    begun = time.monotonic()

    def outcome(error: str, **what: Any) -> Outcome:
        duration_ms = int((time.monotonic() - begun) * 1000)
        return Outcome(started_at=started_at, duration_ms=duration_ms, error=error, **what)

    try:
        with outbound.open_url(
            parcel.url,
            method="POST",
            headers=_headers(parcel, started_at),
            body=parcel.body.encode(),
            timeout_s=TIMEOUT_S,
            max_bytes=2**62,
            allowed_networks=allowed_networks,
        ) as answer:
            # A 2xx is an acknowledgement whatever becomes of its body, so the body may fail without a repeat.
            return outcome(
                _status_error(answer.status),
                status=answer.status,
                answer=_read_start(answer),
                is_final=answer.status == 410,
                retry_after_s=read_retry_after(answer.headers.get("retry-after", ""), now=datetime.now(UTC)),
            )
    except outbound.Forbidden as problem:
        return outcome(f"not allowed: {problem}", is_final=True)
    except outbound.TimedOut as problem:
        return outcome(f"timed out: {problem}")
    except outbound.OutboundError as problem:
        return outcome(str(problem))


def read_retry_after(text: str, *, now: datetime) -> float | None:
    """Seconds of a Retry-After header in either form, between 0 and 12 hours; None when there is none to read."""
    text = text.strip()
    if text.isdecimal() and len(text) < 10:
        return float(min(int(text), MAX_RETRY_AFTER_S))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now) / timedelta(seconds=1)
    return min(max(seconds, 0.0), float(MAX_RETRY_AFTER_S))


def _headers(parcel: Parcel, at: datetime) -> dict[str, str]:
    return {
        **parcel.headers,
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **signing.sign(parcel.body, message_id=parcel.message_id, at=at, secrets=parcel.secrets),
    }


def _read_start(answer: outbound.OpenAnswer) -> str:
    """The first bytes of the body as text; what cannot be read is left out."""
    start = bytearray()
    try:
        for chunk in answer.iter_raw_bytes():
            start += chunk
            if len(start) >= MAX_ANSWER_BYTES:
                break
    except outbound.OutboundError as problem:
        start += f" [{problem}]".encode()
    return bytes(start[:MAX_ANSWER_BYTES]).decode(errors="replace").replace("\x00", "")


def _status_error(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed"
    if status == 410:
        return "HTTP 410: the receiver wants no more of this"
    return f"HTTP {status}"
