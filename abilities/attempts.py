"""Builds the invocation of one attempt, unsaved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from abilities import pricing
from abilities.models import Invocation, Task
from executors.models import Executor
from executors.providers.base import Provider
from podi.base.ids import new_ref


def new_invocation(
    task: Task,
    *,
    provider: type[Provider],
    executor: Executor | None,
    routing: Mapping[str, Any] | None = None,
) -> Invocation:
    """The next attempt of this task. The id at the provider is chosen here where the provider lets us, so that it is
    stored before anything is sent."""
    now = timezone.now()
    price = pricing.price_of(task.definition.get("metadata") or {})
    return Invocation(
        task=task,
        attempt=task.attempt + 1,
        ability_id=task.ability_id,
        ability_provider=task.provider,
        capability_key=task.capability_key,
        ability_name=task.ability_name,
        executor=executor,
        executor_name=executor.name if executor else "",
        executor_type=executor.type if executor else task.provider,
        source=task.source,
        request_id=task.request_id,
        trace_id=task.trace_id,
        workflow_run_id=task.workflow_run_id,
        ref=new_ref() if provider.chooses_ref else "",
        claimed_until=now + timedelta(seconds=settings.TASK_CLAIM_S),
        sent_at=now,
        routing=dict(routing) if routing else None,
        request_payload=task.request,
        billing_unit=price.unit,
        unit_price=price.unit_price,
        currency=price.currency,
        created_at=now,
    )
