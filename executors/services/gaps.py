"""Which node lacks what for which workflow: written down when either changes, so that routing reads it for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from executors.models import Executor, Workflow
from executors.registry import find_missing, provider_class


def find_gaps(kind: str, inventory: Mapping[str, Any]) -> dict[str, Any]:
    """Workflow id to what an executor of this kind with this inventory lacks for it. One query."""
    if not provider_class(kind).runs_workflows:
        return {}
    rows = Workflow.objects.exclude(requirements={}).values_list("pk", "requirements")
    return {pk: missing for pk, needs in rows if (missing := find_missing(needs, inventory))}


def refresh_gaps(workflow: Workflow) -> None:
    """After a workflow changed: compare it with every inventory that is known. Inside the change's transaction."""
    for executor in Executor.objects.filter(inventory_at__isnull=False).only("pk", "inventory", "gaps"):
        missing = find_missing(workflow.requirements, executor.inventory) if workflow.requirements else {}
        gaps = {pk: lacking for pk, lacking in executor.gaps.items() if pk != workflow.pk}
        if missing:
            gaps[workflow.pk] = missing
        if gaps != executor.gaps:
            Executor.objects.filter(pk=executor.pk).update(gaps=gaps)
