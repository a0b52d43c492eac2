"""`GET /metrics` for Prometheus: what an operator must be woken for, counted by query and never by loading rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from django.db.models import Count, Max, Min, Q
from django.http import HttpResponse
from django.utils import timezone
from django_q.brokers import get_broker
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from abilities.models import Invocation, Task
from executors.models import Executor
from podi.base.api.permissions import IsOperator
from podi.base.models import Heartbeat
from podi.events.models import Delivery

WINDOW: Final = timedelta(minutes=15)
Sample = tuple[dict[str, str], float]


class MetricsView(APIView):
    """For operators: a login, SERVICE_API_TOKEN, or an API token with the scope `admin`."""

    permission_classes = [IsOperator]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse("".join(render_metrics()), content_type="text/plain; version=0.0.4; charset=utf-8")


def render_metrics() -> Iterator[str]:
    for name, text, samples in collect_metrics():
        yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
        for labels, value in samples:
            inside = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
            yield f"{name}{{{inside}}} {value:g}\n" if inside else f"{name} {value:g}\n"


def collect_metrics() -> Iterator[tuple[str, str, list[Sample]]]:
    """Name, help and samples of each metric."""
    now = timezone.now()

    def age(moment: Any) -> float:
        return max((now - moment).total_seconds(), 0.0) if moment else 0.0

    states = (Task.State.QUEUED, Task.State.RUNNING)
    open_tasks = {row["state"]: row for row in _open_tasks(states)}
    yield (
        "podi_tasks_open",
        "Tasks that have not ended.",
        [({"state": state}, open_tasks.get(state, {}).get("n", 0)) for state in states],
    )
    yield (
        "podi_task_oldest_seconds",
        "Age of the oldest task in this state.",
        [({"state": state}, age(open_tasks.get(state, {}).get("oldest"))) for state in states],
    )
    yield "podi_jobs_waiting", "Background jobs in the broker.", [({}, get_broker().queue_size())]
    due = Delivery.objects.filter(state=Delivery.State.PENDING)
    first = due.aggregate(n=Count("pk"), oldest=Min("next_attempt_at"))
    yield "podi_deliveries_pending", "Callbacks that are not delivered yet.", [({}, first["n"])]
    yield "podi_delivery_overdue_seconds", "How long the first of them is overdue.", [({}, age(first["oldest"]))]
    beats = Heartbeat.objects.values("kind").annotate(seen=Max("seen_at")).order_by("kind")
    yield (
        "podi_heartbeat_age_seconds",
        "Since a process of this kind was seen.",
        [({"kind": row["kind"]}, age(row["seen"])) for row in beats],
    )
    yield from _executor_metrics()
    yield (
        "podi_invocations_recent",
        "Attempts of the last 15 minutes.",
        [
            ({"provider": row["ability_provider"], "status": row["status"]}, row["n"])
            for row in _recent_invocations(now - WINDOW)
        ],
    )


def _open_tasks(states: tuple[str, ...]) -> Any:
    return (
        Task.objects.filter(state__in=states)
        .values("state")
        .annotate(n=Count("pk"), oldest=Min("created_at"))
        .order_by()
    )


def _recent_invocations(since: Any) -> Any:
    rows = Invocation.objects.filter(created_at__gte=since)
    return rows.values("ability_provider", "status").annotate(n=Count("pk")).order_by("ability_provider", "status")


def _executor_metrics() -> Iterator[tuple[str, str, list[Sample]]]:
    running = Count("leases", filter=Q(leases__slot__isnull=False))
    rows = list(Executor.objects.annotate(held=Count("leases"), running=running).values_list("pk", "held", "running"))
    yield "podi_executor_held", "Tasks an executor holds.", [({"executor": pk}, held) for pk, held, _ in rows]
    yield "podi_executor_running", "Tasks it works on.", [({"executor": pk}, busy) for pk, _, busy in rows]
    failures = Executor.objects.values_list("pk", "failures_in_row")
    yield "podi_executor_failures", "Failures in a row.", [({"executor": pk}, count) for pk, count in failures]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
