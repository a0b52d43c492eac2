"""The form of an event outside: what a stream sends and a replay lists."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from podi.events.models import Event


def envelope_of(event: Event) -> dict[str, Any]:
    """`{"type", "id", "payload", "timestamp"}`; `id` is the sequence a client resumes from."""
    return {
        "type": event.topic,
        "id": event.sequence,
        "payload": event.payload,
        "timestamp": iso_utc(event.created_at),
    }


def iso_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_text(message: dict[str, Any]) -> str:
    return json.dumps(message, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"))
