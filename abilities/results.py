"""How a task and its outcome look from outside (contract 1.9, 1.10, 5.10). Links are signed anew at every reading."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from abilities.models import Invocation, Task
from abilities.redaction import redact
from media import services as media
from media.models import Asset
from podi.base.ids import encode_task_id
from podi.base.phrases import tell

CALLBACK_LINK_TTL_S = 7 * 24 * 3600
"""A callback may be delivered days late and must still carry links that open."""


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def public_id(task: Task) -> str:
    return encode_task_id(task.id, provider=task.provider, executor_id=task.executor_id or "")


def duration_ms(task: Task) -> int | None:
    if task.finished_at is None:
        return None
    return max(0, int((task.finished_at - (task.started_at or task.created_at)).total_seconds() * 1000))


def links(task: Task) -> dict[str, str]:
    base = f"/api/ability-tasks/{task.id}"
    return {"self": base, "events": f"{base}/events", "cancel": f"{base}/cancel", "retry": f"{base}/retry"}


def asset_entry(stored: Mapping[str, Any], *, ttl_s: int | None = None) -> dict[str, Any]:
    """One kept file, from what `collect` put into the task's result."""
    url = media.url(Asset(id=stored["assetId"], object_key=stored["objectKey"]), ttl_s=ttl_s)
    entry = {
        "ossUrl": url,
        "storedUrl": url,
        "ossKey": stored["objectKey"],
        "assetId": stored["assetId"],
        "type": stored["type"],
        "contentType": stored["contentType"],
        "size": stored["size"],
        "width": stored.get("width"),
        "height": stored.get("height"),
        "sha256": stored["sha256"],
        "tag": stored.get("tag"),
        "description": stored.get("description"),
    }
    return {key: value for key, value in entry.items() if value not in (None, "")}


def invoke_response(
    task: Task, *, log_id: int | None, with_raw: bool = False, ttl_s: int | None = None
) -> dict[str, Any]:
    """The AbilityInvokeResponse of a task in any state."""
    result = task.result or {}
    entries = [asset_entry(stored, ttl_s=ttl_s) for stored in result.get("assets", [])]
    answer: dict[str, Any] = {
        "abilityId": task.ability_id,
        "provider": task.provider,
        "status": task.state,
        "requestId": task.request_id,
        "taskId": public_id(task),
        "logId": log_id,
        "durationMs": duration_ms(task),
        "images": [entry for entry in entries if entry["type"] == "image"],
        "videos": [entry for entry in entries if entry["type"] == "video"],
        "texts": result.get("texts", []),
        "assets": entries,
        "metadata": _metadata(task, result),
    }
    if with_raw or result.get("isRawPublic"):
        answer["raw"] = result.get("raw")
    if task.state in (Task.State.FAILED, Task.State.CANCELLED):
        answer["error"] = error_of(task)
    if not task.is_terminal:
        answer |= {"progress": round(task.progress, 4), "pollAfterMs": poll_after_ms(task), "links": links(task)}
    return answer


def poll_after_ms(task: Task) -> int:
    """How long a client should wait before it asks again."""
    return 1000 if task.state == Task.State.RUNNING else 2000


def error_of(task: Task) -> dict[str, Any]:
    return {
        "code": task.error_code,
        "detail": task.error_code,
        "message": tell(task.error_message),
        "retryable": task.is_error_retryable,
        "requestId": task.request_id,
    }


def callback_body(task: Task, *, log_id: int | None, moment: datetime) -> dict[str, Any]:
    """The body of contract 5.10, sent once at the real end."""
    succeeded = task.state == Task.State.SUCCEEDED
    return {
        "status": "success" if succeeded else "failed",
        "abilityId": task.ability_id,
        "provider": task.provider,
        "requestId": task.request_id,
        "taskId": public_id(task),
        "logId": log_id,
        "durationMs": duration_ms(task),
        "result": invoke_response(task, log_id=log_id, ttl_s=CALLBACK_LINK_TTL_S) if succeeded else None,
        "error": None if succeeded else error_of(task),
        "timestamp": iso(moment),
    }


def task_response(task: Task, *, log_id: int | None, with_raw: bool = False) -> dict[str, Any]:
    """One ability task (contract 1.10, camelCase)."""
    failed = task.state in (Task.State.FAILED, Task.State.CANCELLED)
    payload: dict[str, Any] | None = None
    if task.is_terminal:
        payload = invoke_response(task, log_id=log_id, with_raw=with_raw)
    answer = {
        "id": task.id,
        "taskId": public_id(task),
        "abilityId": task.ability_id,
        "abilityName": task.ability_name,
        "abilityVersion": task.ability_version,
        "provider": task.provider,
        "capabilityKey": task.capability_key,
        "executorId": task.executor_id,
        "status": task.state,
        "progress": round(task.progress, 4),
        "logId": log_id,
        "requestId": task.request_id,
        "durationMs": duration_ms(task),
        "requestPayload": redact(task.request),
        "resultPayload": payload,
        "errorCode": task.error_code if failed else None,
        "errorMessage": (tell(task.error_message) or task.error_code) if failed else None,
        "callbackUrl": task.callback_url or None,
        "attempt": task.attempt,
        "retryOf": task.retry_of_id,
        "priority": task.priority,
        "pricePoints": task.price_points,
        "deadlineAt": iso(task.deadline_at),
        "cancelRequestedAt": iso(task.cancel_requested_at),
        "createdAt": iso(task.created_at),
        "updatedAt": iso(task.updated_at),
        "startedAt": iso(task.started_at),
        "finishedAt": iso(task.finished_at),
        "links": links(task),
    }
    if not task.is_terminal:
        answer["pollAfterMs"] = poll_after_ms(task)
    return answer


def status_payload(task: Task, *, log_id: int | None, moment: datetime) -> dict[str, Any]:
    """The payload of the event `ability-task.status`."""
    payload: dict[str, Any] = {
        "taskId": task.id,
        "abilityId": task.ability_id,
        "status": task.state,
        "logId": log_id,
        "executorId": task.executor_id,
        "progress": round(task.progress, 4),
        "attempt": task.attempt,
        "updatedAt": iso(moment),
    }
    if task.error_code:
        payload["errorCode"] = task.error_code
        payload["message"] = task.error_message[:500]
    return payload


def stored_asset(asset: Asset, *, kind: str, tag: str, description: str = "") -> dict[str, Any]:
    """What the task's result remembers of a kept file."""
    return {
        "assetId": asset.id,
        "objectKey": asset.object_key,
        "type": kind,
        "contentType": asset.content_type,
        "size": asset.size_bytes,
        "width": asset.width,
        "height": asset.height,
        "sha256": asset.sha256,
        "tag": tag,
        "description": description,
    }


def invocation_of(task: Task) -> Invocation | None:
    """The task's last invocation, from what is already loaded where possible."""
    return task.invocations.order_by("-attempt").first()


def _metadata(task: Task, result: Mapping[str, Any]) -> dict[str, Any]:
    options = task.definition.get("metadata") or {}
    found = {
        **(result.get("metadata") or {}),
        "model": options.get("model_id"),
        "state": (result.get("metadata") or {}).get("state"),
        "executorId": task.executor_id,
        "version": task.ability_version,
        "ignoredInputs": task.request.get("ignoredInputs"),
        "traceId": task.trace_id,
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}
