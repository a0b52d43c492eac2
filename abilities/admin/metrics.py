"""The page of numbers about calls: how many, how well, how fast, per ability and per executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from abilities import services
from abilities.admin import charts
from abilities.admin.rendering import duration
from abilities.models import Ability
from abilities.services import LogFilter
from executors import services as executors
from executors.models import Executor

WINDOWS = (1, 6, 24, 72, 168, 720)


def view(model_admin: ModelAdmin[Any]) -> Callable[[HttpRequest], HttpResponse]:
    def page(request: HttpRequest) -> HttpResponse:
        if not model_admin.has_view_permission(request):
            raise PermissionDenied
        context = {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "title": _("Metrics of calls"),
            **read_metrics(request),
        }
        return render(request, "admin/abilities/invocation/metrics.html", context)

    return page


def read_metrics(request: HttpRequest) -> dict[str, Any]:
    asked = request.GET.get("hours", "")
    hours = int(asked) if asked.isdecimal() and int(asked) in WINDOWS else 24
    provider = request.GET.get("provider", "")
    provider = provider if provider in executors.provider_kinds() else ""
    by_executor = request.GET.get("by") == "executor"
    wanted = LogFilter(provider=provider)
    buckets = services.log_metrics(window_hours=hours, wanted=wanted, by_executor=by_executor)
    rows = [_row(bucket, buckets) for bucket in buckets]
    _add_names(rows)
    ended = sum(row["success_count"] + row["failed_count"] for row in rows)
    success = sum(row["success_count"] for row in rows)
    return {
        "hours": hours,
        "windows": [(number, _window_label(number)) for number in WINDOWS],
        "provider": provider,
        "providers": executors.provider_kinds(),
        "by_executor": by_executor,
        "rows": rows,
        "chart": charts.stack(services.calls_over_time(window_hours=hours, wanted=wanted)),
        "total": sum(row["count"] for row in rows),
        "success": success,
        "failed": sum(row["failed_count"] for row in rows),
        "rate": f"{success / ended:.1%}" if ended else "–",
    }


def _window_label(hours: int) -> str:
    return _("%(count)d h") % {"count": hours} if hours < 72 else _("%(count)d days") % {"count": hours // 24}


def _row(bucket: dict[str, Any], buckets: list[dict[str, Any]]) -> dict[str, Any]:
    most = max((other["count"] for other in buckets), default=1) or 1
    slowest = max((other["p95_duration_ms"] or 0 for other in buckets), default=1) or 1
    rate = bucket["success_rate"]
    return {
        **bucket,
        "share": round(bucket["count"] / most * 100, 2),
        "success_share": round(bucket["success_count"] / most * 100, 2),
        "failed_share": round(bucket["failed_count"] / most * 100, 2),
        "p50_share": round((bucket["p50_duration_ms"] or 0) / slowest * 100, 2),
        "p95_share": round((bucket["p95_duration_ms"] or 0) / slowest * 100, 2),
        "p50": duration(bucket["p50_duration_ms"]),
        "p95": duration(bucket["p95_duration_ms"]),
        "average": duration(bucket["avg_duration_ms"]),
        "rate": "–" if rate is None else f"{rate:.1%}",
        "rate_kind": "other"
        if rate is None
        else "succeeded"
        if rate >= 0.95
        else "warning"
        if rate >= 0.8
        else "failed",
    }


def _add_names(rows: list[dict[str, Any]]) -> None:
    """Two queries for all rows."""
    keys = {row["capability_key"] for row in rows}
    found = Ability.objects.filter(capability_key__in=keys).values_list(
        "provider", "capability_key", "id", "display_name"
    )
    abilities = {(provider, key): (pk, name) for provider, key, pk, name in found}
    ids = {row["executor_id"] for row in rows if row["executor_id"]}
    names = dict(Executor.objects.filter(pk__in=ids).values_list("id", "name"))
    for row in rows:
        pk, name = abilities.get((row["ability_provider"], row["capability_key"]), ("", row["capability_key"]))
        row["ability_id"], row["ability_name"] = pk, name
        row["executor_name"] = names.get(row["executor_id"], row["executor_id"] or "–")
