"""The strip on top of the admin's index: how today goes, in seven queries over indexes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db.models import Count
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from abilities import services as abilities
from abilities.admin import charts
from executors.models import Executor, Status
from podi.base import heartbeats
from podi.base.models import Heartbeat
from podi.events.models import Delivery

QUERIES: Final = 7
"""Asserted by the tests."""
PROCESS_SILENT_AFTER_S: Final = 60
_PROCESS_NAMES: Final = {heartbeats.WORKER: _("worker"), heartbeats.POLLER: _("poller")}


def read() -> dict[str, Any]:
    today = abilities.today()
    rate = today.success_rate
    return {
        "today": today,
        "rate": "–" if rate is None else f"{rate:.1%}",
        "rate_kind": "quiet" if rate is None else "good" if rate >= 0.95 else "warning" if rate >= 0.8 else "bad",
        "costs": [f"{cost:.2f} {currency}" for currency, cost in sorted(today.costs.items())],
        "chart": charts.stack(abilities.calls_over_time(window_hours=24)),
        "nodes": _read_nodes(),
        "deliveries": _read_deliveries(),
        "processes": _read_processes(),
        "links": {name: _list_url(*place) for name, place in _LISTS.items()},
    }


_LISTS: Final = {
    "calls": ("abilities_invocation", "?when=today"),
    "failed_calls": ("abilities_invocation", "?when=today&status__exact=failed"),
    "queued": ("abilities_task", "?state__exact=queued"),
    "running": ("abilities_task", "?state__exact=running"),
    "failed": ("abilities_task", "?when=today&state__exact=failed"),
    "nodes": ("executors_executor", ""),
    "due": ("events_delivery", "?state__exact=pending"),
    "dead": ("events_delivery", "?state__exact=dead"),
    "metrics": ("abilities_invocation_metrics", ""),
}


def _list_url(name: str, query: str) -> str:
    for candidate in (f"admin:{name}_changelist", f"admin:{name}"):
        try:
            return reverse(candidate) + query
        except NoReverseMatch:
            continue
    return ""


def _read_nodes() -> dict[str, Any]:
    """Executors that should take work, and those of them that do not."""
    now = timezone.now()
    rows = Executor.objects.filter(status=Status.ACTIVE).only(
        "id", "name", "health_status", "is_draining", "paused_until"
    )
    down = [
        row.name
        for row in rows
        if row.health_status == "unhealthy" or row.is_draining or (row.paused_until and row.paused_until > now)
    ]
    return {"up": len(rows) - len(down), "down": len(down), "names": ", ".join(down)}


def _read_deliveries() -> dict[str, int]:
    waiting = (Delivery.State.PENDING, Delivery.State.DEAD)
    rows = Delivery.objects.filter(state__in=waiting).order_by().values_list("state").annotate(n=Count("pk"))
    counts = {str(state): count for state, count in rows}
    return {"due": counts.get(Delivery.State.PENDING, 0), "dead": counts.get(Delivery.State.DEAD, 0)}


def _read_processes() -> list[tuple[str, int]]:
    """Workers and pollers that gave a sign of life of late."""
    since = timezone.now() - timedelta(seconds=PROCESS_SILENT_AFTER_S)
    kinds = (heartbeats.WORKER, heartbeats.POLLER)
    rows = Heartbeat.objects.filter(kind__in=kinds, seen_at__gte=since).values_list("kind").annotate(n=Count("pk"))
    counts = dict(rows.order_by())
    return [(str(_PROCESS_NAMES[kind]), counts.get(kind, 0)) for kind in kinds]
