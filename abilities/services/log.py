"""The call log as operators read it: items, filters, metrics, and fetching lost results of a node again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Max, Q, QuerySet
from django.utils import timezone

from abilities import errors, results
from abilities.models import Invocation
from abilities.redaction import redact
from executors import services as executors
from executors.providers.base import Phase, ProviderError
from media import services as media
from podi.base.ids import encode_task_id
from podi.base.phrases import tell
from podi.events.models import Delivery

MAX_BUCKETS = 200
MAX_DURATIONS = 800


@dataclass(frozen=True, kw_only=True)
class LogFilter:
    """Empty means any."""

    ability_id: str = ""
    provider: str = ""
    capability_key: str = ""
    executor_id: str = ""
    status: str = ""
    source: str = ""
    start: datetime | None = None
    end: datetime | None = None


def find_invocations(wanted: LogFilter) -> QuerySet[Invocation]:
    """Newest first."""
    rows = Invocation.objects.order_by("-id")
    exact = {
        "ability_id": wanted.ability_id,
        "ability_provider": wanted.provider,
        "capability_key": wanted.capability_key,
        "executor_id": wanted.executor_id,
        "status": wanted.status,
        "source": wanted.source,
        "created_at__gte": wanted.start,
        "created_at__lt": wanted.end,
    }
    return rows.filter(**{name: value for name, value in exact.items() if value})


def log_items(rows: Sequence[Invocation]) -> list[dict[str, Any]]:
    """Contract 1.12 "Ability logs", snake_case. One query more, for the callbacks of these tasks."""
    task_ids = {row.task_id for row in rows}
    deliveries: dict[str, Delivery] = {}
    found = Delivery.objects.filter(event__subject_type="task", event__subject_id__in=task_ids)
    for delivery in found.select_related("event").order_by("created_at"):
        deliveries[delivery.event.subject_id] = delivery
    return [_item(row, deliveries.get(row.task_id)) for row in rows]


def _item(row: Invocation, delivery: Delivery | None) -> dict[str, Any]:
    """The callback belongs to the invocation that ended the task; earlier tries had none."""
    is_end = row.status not in (Invocation.Status.PENDING, Invocation.Status.INTERRUPTED)
    return {
        "id": row.pk,
        "ability_id": row.ability_id,
        "ability_provider": row.ability_provider,
        "capability_key": row.capability_key,
        "ability_name": row.ability_name or None,
        "executor_id": row.executor_id,
        "executor_name": row.executor_name or None,
        "executor_type": row.executor_type or None,
        "source": row.source,
        "task_id": row.task_id,
        "callback_id": encode_task_id(row.task_id, provider=row.ability_provider, executor_id=row.executor_id or ""),
        "request_id": row.request_id,
        "trace_id": row.trace_id or row.request_id,
        "workflow_run_id": row.workflow_run_id or None,
        "attempt": row.attempt,
        "provider_ref": row.ref or None,
        "status": row.status,
        "duration_ms": row.duration_ms,
        "phases": _phases(row),
        "stored_url": _stored_url(row),
        "request_payload": row.request_payload,
        "response_payload": row.response_payload,
        "result_assets": [results.asset_entry(asset) for asset in row.result_assets or []],
        "error_code": row.error_code or None,
        "error_detail": tell(row.error_message) or None,
        "error_message": tell(row.error_message) or row.error_code or None,
        "routing": row.routing,
        **_callback(delivery if is_end else None),
        "billing_unit": row.billing_unit or None,
        "quantity": _text(row.quantity),
        "unit_price": _text(row.unit_price),
        "currency": row.currency or None,
        "cost_amount": _text(row.cost_amount),
        "created_at": results.iso(row.created_at),
    }


def _phases(row: Invocation) -> dict[str, str | None]:
    moments = ("sent_at", "accepted_at", "ran_at", "done_at", "finished_at")
    return {name: results.iso(getattr(row, name)) for name in moments}


def _stored_url(row: Invocation) -> str | None:
    first = next(iter(row.result_assets or []), None)
    return results.asset_entry(first)["ossUrl"] if first else None


def _callback(delivery: Delivery | None) -> dict[str, Any]:
    if delivery is None:
        names = ["status", "http_status", "payload", "response", "error", "started_at", "finished_at"]
        return {f"callback_{name}": None for name in names}
    state = {Delivery.State.DELIVERED: "success", Delivery.State.DEAD: "failed"}
    return {
        "callback_status": state.get(Delivery.State(delivery.state)),
        "callback_http_status": delivery.last_status,
        "callback_payload": redact(delivery.body),
        "callback_response": None,
        "callback_error": delivery.last_error or None,
        "callback_started_at": results.iso(delivery.created_at),
        "callback_finished_at": results.iso(delivery.delivered_at),
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def log_metrics(*, window_hours: int, wanted: LogFilter, by_executor: bool) -> list[dict[str, Any]]:
    """One bucket per ability (and executor): counts, rates and durations of the window, busiest first."""
    since = timezone.now() - timedelta(hours=window_hours)
    rows = find_invocations(wanted).filter(created_at__gte=since).order_by()
    names = ["ability_provider", "capability_key", *(["executor_id"] if by_executor else [])]
    success, failed = Q(status=Invocation.Status.SUCCESS), Q(status=Invocation.Status.FAILED)
    groups = (
        rows.values(*names)
        .annotate(
            count=Count("id"),
            success_count=Count("id", filter=success),
            failed_count=Count("id", filter=failed),
            avg_duration_ms=Avg("duration_ms", filter=success),
            last_success_at=Max("created_at", filter=success),
            last_failed_at=Max("created_at", filter=failed),
        )
        .order_by("-count")[:MAX_BUCKETS]
    )
    return [_bucket(dict(group), rows.filter(success), names) for group in groups]


def _bucket(group: dict[str, Any], successes: QuerySet[Invocation], names: list[str]) -> dict[str, Any]:
    same = {name: group[name] for name in names}
    latest = successes.filter(**same, duration_ms__isnull=False).order_by("-id")
    durations = sorted(ms for ms in latest.values_list("duration_ms", flat=True)[:MAX_DURATIONS] if ms is not None)
    ended = group["success_count"] + group["failed_count"]
    average = group.pop("avg_duration_ms")
    return {
        **group,
        "executor_id": group.get("executor_id"),
        "success_rate": round(group["success_count"] / ended, 4) if ended else None,
        "avg_duration_ms": round(average, 1) if average is not None else None,
        "p50_duration_ms": _percentile(durations, 0.5),
        "p95_duration_ms": _percentile(durations, 0.95),
        "last_success_at": results.iso(group["last_success_at"]),
        "last_failed_at": results.iso(group["last_failed_at"]),
    }


def _percentile(ordered: Sequence[Any], share: float) -> int | None:
    return int(ordered[int((len(ordered) - 1) * share)]) if ordered else None


def resolve_invocation(row: Invocation) -> Invocation:
    """Fetch the results of a node's run again into our storage, for a call whose results were lost.

    The task keeps its end: this only fills the log. Raises the contract's COMFYUI_* codes.
    """
    if row.result_assets:
        return row
    if row.executor_type != "comfyui":
        raise errors.InvocationNotComfyUI()
    if not row.ref:
        raise errors.PromptIdRequired()
    if row.executor is None or not row.executor.base_url:
        raise errors.NodeAddressRequired()
    connection = executors.connect(row.executor.type, row.executor, api_key_id=row.api_key_id or "")
    try:
        report = connection.provider.poll([row.ref]).get(row.ref)
        if report is None or not report.phase.is_final:
            raise errors.NodeRunNotDone(suffix="" if report is None else report.phase.value)
        if report.phase != Phase.SUCCEEDED or not report.outputs:
            raise errors.NodeImagesEmpty()
        assets = []
        for output in report.outputs:
            if output.locator is None:
                continue
            kept = media.keep(
                connection.provider.open_output(output), owner=row.task.owner, file_name=output.name, kind="output"
            )
            assets.append(results.stored_asset(kept, kind=output.kind, tag=output.tag))
    except ProviderError as error:
        raise errors.NodeHistoryFailed(error.message) from error
    Invocation.objects.filter(pk=row.pk).update(result_assets=assets, updated_at=timezone.now())
    row.result_assets = assets
    return row
