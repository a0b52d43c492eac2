"""`/api/admin/abilities/logs`: the call log for operators, its export and its metrics."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities import errors, results, services
from abilities.models import Ability, Invocation
from podi.base.api.pagination import read_int, read_window
from podi.base.api.permissions import IsOperator
from podi.base.errors import InvalidInput

CSV_COLUMNS = (
    *("id", "created_at", "status", "ability_provider", "capability_key", "ability_id", "ability_name", "executor_id"),
    *("executor_name", "executor_type", "source", "duration_ms", "stored_url", "error_message", "task_id"),
    *("callback_id", "trace_id", "workflow_run_id", "request_payload", "response_payload", "result_assets"),
)
CHUNK = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_PLAIN_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


class LogListView(APIView):
    """All calls, or those of one ability."""

    permission_classes = (IsOperator,)

    @extend_schema(tags=["admin: call log"], responses=dict)
    def get(self, request: Request, ability_id: str = "") -> Response:
        if ability_id and not Ability.objects.filter(pk=ability_id).exists():
            raise errors.AbilityNotFound()
        query = request.query_params
        wanted = services.LogFilter(
            ability_id=ability_id or query.get("abilityId", ""),
            provider=query.get("provider", ""),
            capability_key=query.get("capabilityKey", ""),
        )
        window = read_window(request, default=20, maximum=200)
        rows = services.find_invocations(wanted)
        items = services.log_items(list(rows[window.slice]))
        return Response({"total": rows.count(), "limit": window.limit, "offset": window.offset, "items": items})


class LogMetricsView(APIView):
    permission_classes = (IsOperator,)

    @extend_schema(tags=["admin: call log"], responses=dict)
    def get(self, request: Request) -> Response:
        hours = read_int(request, "windowHours", default=24, minimum=1, maximum=720)
        query = request.query_params
        wanted = services.LogFilter(provider=query.get("provider", ""), capability_key=query.get("capabilityKey", ""))
        by_executor = query.get("groupByExecutor", "").lower() in {"1", "true"}
        buckets = services.log_metrics(window_hours=hours, wanted=wanted, by_executor=by_executor)
        return Response({"window_hours": hours, "buckets": buckets})


class _OwnFormat(BaseContentNegotiation):
    """`format` names our file here, not one of the framework's renderers."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        return next(iter(parsers))

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class LogExportView(APIView):
    """The log as a file, streamed."""

    permission_classes = (IsOperator,)
    content_negotiation_class = _OwnFormat

    @extend_schema(tags=["admin: call log"], responses={(200, "text/csv"): str})
    def get(self, request: Request) -> StreamingHttpResponse:
        query = request.query_params
        form = query.get("format", "csv")
        if form not in {"csv", "json"}:
            raise InvalidInput(fields={"format": "csv, json"})
        hours = read_int(request, "sinceHours", default=24, minimum=1, maximum=720)
        end = _moment(query.get("end"), name="end") or timezone.now()
        start = _moment(query.get("start"), name="start") or end - timedelta(hours=hours)
        wanted = services.LogFilter(
            ability_id=query.get("abilityId", ""),
            provider=query.get("provider", ""),
            capability_key=query.get("capabilityKey", ""),
            executor_id=query.get("executorId", ""),
            status=query.get("status", ""),
            source=query.get("source", ""),
            start=start,
            end=end,
        )
        limit = read_int(request, "limit", default=2000, minimum=1, maximum=20000)
        ids = list(services.find_invocations(wanted).values_list("id", flat=True)[:limit])
        lines = _csv(ids) if form == "csv" else _json(ids, start=start, end=end)
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8" if form == "csv" else None)
        if form == "json":
            response["Content-Type"] = "application/json"
        name = f"ability_logs_{start:%Y%m%d}_{end:%Y%m%d}.{form}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


class LogResolveView(APIView):
    """Fetch the results of a node's run again."""

    permission_classes = (IsOperator,)

    @extend_schema(tags=["admin: call log"], request=None, responses=dict)
    def post(self, request: Request, log_id: int) -> Response:
        row = Invocation.objects.select_related("executor", "task__owner").filter(pk=log_id).first()
        if row is None:
            raise errors.InvocationNotFound()
        return Response(services.log_items([services.resolve_invocation(row)])[0])


def _chunks(ids: list[int]) -> Iterator[dict[str, Any]]:
    for at in range(0, len(ids), CHUNK):
        rows = Invocation.objects.filter(pk__in=ids[at : at + CHUNK]).order_by("-id")
        yield from services.log_items(list(rows))


def _csv(ids: list[int]) -> Iterator[str]:
    yield "\ufeff" + _csv_line(CSV_COLUMNS)
    for item in _chunks(ids):
        yield _csv_line([_cell(item[name]) for name in CSV_COLUMNS])


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _cell(value: Any) -> str:
    """Text for a cell. What a spreadsheet would take for a formula is quoted; plain numbers stay numbers."""
    text = (
        json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else "" if value is None else str(value)
    )
    return "'" + text if text.startswith(_FORMULA) and not _PLAIN_NUMBER.fullmatch(text) else text


def _json(ids: list[int], *, start: datetime, end: datetime) -> Iterator[str]:
    head = {
        "generated_at": results.iso(timezone.now()),
        "window": {"start": results.iso(start), "end": results.iso(end)},
    }
    yield json.dumps(head)[:-1] + f', "count": {len(ids)}, "items": ['
    for position, item in enumerate(_chunks(ids)):
        yield (", " if position else "") + json.dumps(item, ensure_ascii=False)
    yield "]}"


def _moment(text: str | None, *, name: str) -> datetime | None:
    """ISO 8601, or unix seconds or milliseconds."""
    if not text:
        return None
    try:
        if text.isdigit():
            value = int(text)
            return datetime.fromtimestamp(value / 1000 if value > 10**11 else value, tz=UTC)
        found = parse_datetime(text) or parse_datetime(text.replace(" ", "+"))
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None:
        raise InvalidInput(fields={name: _("ISO 8601, or unix seconds or milliseconds.")})
    return found if timezone.is_aware(found) else found.replace(tzinfo=UTC)
