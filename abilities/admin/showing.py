"""What the pages show of one task, read in a fixed number of queries. The test panel and the task page share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone

from abilities import results, services
from abilities.admin import timeline
from abilities.admin.rendering import DASH, duration, pretty_json, readable_text
from abilities.models import Invocation, Task, TaskAsset
from abilities.redaction import redact
from media import services as media
from media.models import Asset
from podi.base.models import User
from podi.events import services as events

MAX_EVENTS = 60
_STATES = dict(Task.State.choices)


@dataclass(frozen=True, kw_only=True)
class ShownFile:
    """One file of a task, ready for a template. `thumbnail` is empty for what is no picture."""

    field: str
    url: str
    thumbnail: str
    name: str
    kind: str
    facts: tuple[str, ...]
    asset_id: str


def show_result(task: Task) -> dict[str, Any]:
    """State, progress, place in the queue, results and error."""
    rows = list(task.assets.select_related("asset").order_by("asset_type", "position"))
    result = task.result or {}
    place = services.queue_place(task)
    return {
        "task": task,
        "public_id": results.public_id(task),
        "is_final": task.is_terminal,
        "percent": round(100 * task.progress),
        "place": place,
        "wait": duration(place.estimated_wait_ms) if place.estimated_wait_ms is not None else "",
        "elapsed": duration(_elapsed_ms(task)),
        "outputs": [_file(row) for row in rows if row.asset_type != TaskAsset.Type.INPUT],
        "inputs": [_file(row) for row in rows if row.asset_type == TaskAsset.Type.INPUT],
        "values": task.inputs.get("values") or {},
        "texts": [readable_text(text) for text in result.get("texts") or []],
        "raw": pretty_json(redact(result.get("raw"))) if result.get("raw") else "",
        "facts": _facts(result.get("metadata") or {}),
        "ignored": task.request.get("ignoredInputs") or [],
        "can_retry": task.state in (Task.State.FAILED, Task.State.CANCELLED),
    }


def show_task(actor: User, task: Task) -> dict[str, Any]:
    """Everything of the task page: `show_result` with attempts, timeline, events and callbacks."""
    invocations = list(task.invocations.select_related("executor", "api_key").order_by("attempt"))
    facts = list(events.history(("task", task.pk))[:MAX_EVENTS])
    first = task.created_at
    return show_result(task) | {
        "invocations": [_attempt(row) for row in invocations],
        "timeline": timeline.draw(task, invocations, now=timezone.now()),
        "phases": timeline.PHASES,
        "events": [
            {"event": row, "after": duration((row.created_at - first).total_seconds() * 1000), "payload": row.payload}
            | {"label": _STATES.get(row.payload.get("status"), row.topic)}
            for row in facts
        ],
        "deliveries": list(
            events.deliveries_of(("task", task.pk)).filter(pk__in=_visible(actor)).order_by("created_at")
        ),
        "request_json": pretty_json(task.request),
        "definition": pretty_json(task.definition),
        "answer": pretty_json(results.task_response(task, log_id=invocations[-1].pk if invocations else None)),
    }


def _visible(actor: User) -> Any:
    return events.visible_deliveries(actor).values("pk")


def _attempt(row: Invocation) -> dict[str, Any]:
    return {
        "row": row,
        "duration": duration(row.duration_ms),
        "routing": row.routing or {},
        "response": pretty_json(row.response_payload),
        "log_url": reverse("admin:abilities_invocation_change", args=[row.pk]),
    }


def _facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a provider says of its result, without what only machines read."""
    shown = {key: value for key, value in metadata.items() if value not in (None, "") and not key.endswith("_ms")}
    return {key: pretty_json(value) if isinstance(value, dict | list) else value for key, value in shown.items()}


def _elapsed_ms(task: Task) -> float:
    until = task.finished_at or timezone.now()
    return (until - task.created_at).total_seconds() * 1000


def _file(row: TaskAsset) -> ShownFile:
    asset = row.asset
    return ShownFile(
        field=row.field or row.tag,
        url=media.url(asset),
        thumbnail=thumbnail_url(asset),
        name=asset.file_name or asset.object_key.rsplit("/", 1)[-1],
        kind=asset.content_type.partition("/")[0],
        facts=file_facts(asset),
        asset_id=asset.pk,
    )


def file_facts(asset: Asset) -> tuple[str, ...]:
    """Pixels, dpi, size, format: what an operator wants to know of a picture at a glance."""
    facts = []
    if asset.width is not None:
        facts.append(f"{asset.width} × {asset.height} px")
    if asset.dpi:
        facts.append(f"{asset.dpi:g} dpi")
    facts.append(filesizeformat(asset.size_bytes).replace("\xa0", " "))
    facts.append(asset.content_type.rpartition("/")[2].upper() or DASH)
    return tuple(facts)


def thumbnail_url(asset: Asset) -> str:
    return reverse("admin:media_asset_thumbnail", args=[asset.pk]) if asset.width is not None else ""


def first_thumbnail(rows: Sequence[TaskAsset]) -> str:
    """Of the first result, else of the first input."""
    ordered = sorted(rows, key=lambda row: (row.asset_type != TaskAsset.Type.OUTPUT, row.position))
    return next((url for row in ordered if (url := thumbnail_url(row.asset))), "")
