"""Brings outputs into our own storage. A task succeeds only after they lie there and were read back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from abilities import lifecycle, results
from abilities.errors import OutputsMissing
from abilities.models import Invocation, Task, TaskAsset
from abilities.runner import heartbeat
from abilities.runner.endings import problem_of, provider_problem
from executors import services as executors
from executors.providers.base import Output, ProviderError, ProviderRejected
from media import errors as media_errors
from media import services as media
from podi.base.errors import PodiError

logger = logging.getLogger(__name__)

MAX_STORE_TRIES = 8
STORE_BACKOFF_S = (1, 2, 4, 8, 20, 40, 60)


def collect(invocation_id: int) -> None:
    """Fetch and store the outputs of a finished invocation. Safe to call any number of times from any process."""
    now = timezone.now()
    claimed = (
        Invocation.objects.filter(pk=invocation_id, step=Invocation.Step.COLLECTING)
        .exclude(claimed_until__gt=now)
        .update(claimed_until=now + timedelta(seconds=settings.TASK_CLAIM_S), store_count=F("store_count") + 1)
    )
    if not claimed:
        return
    invocation = (
        Invocation.objects.select_related("task__owner", "executor")
        .defer("executor__secrets", "executor__inventory", "executor__gaps")  # large, and read only for a new adapter
        .get(pk=invocation_id)
    )
    task = invocation.task
    if task.state != Task.State.RUNNING or task.attempt != invocation.attempt:
        return
    pending = invocation.pending_outputs or {}
    outputs = tuple(Output(**stored) for stored in pending.get("outputs") or [])
    if invocation.store_count > MAX_STORE_TRIES:
        # Each try ended its process before it could say why.
        lifecycle.fail(task, invocation, problem_of(media_errors.AssetStoreFailed))
        return
    with heartbeat.holding(invocation.pk):
        connection = executors.connect(task.provider, invocation.executor, api_key_id=invocation.api_key_id or "")
        collect_now(task, invocation, pending, outputs, connection)


def collect_now(
    task: Task,
    invocation: Invocation,
    facts: dict[str, Any],
    outputs: Sequence[Output],
    connection: executors.Connection,
) -> None:
    """Store these outputs and end the task. The caller holds the claim."""
    try:
        delivered = _store(task, facts, outputs, connection)
    except ProviderRejected as error:
        lifecycle.fail(task, invocation, provider_problem(error))
    except (ProviderError, media_errors.AssetStoreFailed) as error:
        _later(task, invocation, error, outputs, connection)
    except PodiError as error:
        problem = lifecycle.Problem(code=error.detail, message=error.stored_text, is_retryable=error.retryable)
        lifecycle.fail(task, invocation, problem)
    else:
        if delivered is None:
            lifecycle.fail(task, invocation, problem_of(OutputsMissing), response=facts.get("raw"))
        elif lifecycle.succeed(task, invocation, delivered, unless_cancel_asked=connection.provider.is_repeatable):
            _forget(invocation, connection)
        else:
            _cancel_if_asked(task, invocation)


def _store(
    task: Task, facts: dict[str, Any], outputs: Sequence[Output], connection: executors.Connection
) -> lifecycle.Delivered | None:
    """None when a promised kind of result is missing."""
    texts: list[str] = []
    entries: list[dict[str, Any]] = []
    rows: list[TaskAsset] = []
    for output in outputs:
        if output.text is not None:
            texts.append(output.text)
            continue
        if output.data is not None:
            source: Any = output.data
        else:
            source = output.file() if output.file is not None else connection.provider.open_output(output)
        asset = media.keep(
            source, owner=task.owner, file_name=output.name, content_type=output.content_type, kind="output"
        )
        entries.append(results.stored_asset(asset, kind=output.kind, tag=output.tag))
        rows.append(
            TaskAsset(
                task=task,
                asset=asset,
                asset_type=TaskAsset.Type.OUTPUT,
                position=len(rows),
                tag=output.tag,
                source_url=output.source_url,
            )
        )
    promised = task.definition.get("metadata", {}).get("outputs") or {}
    if not (texts or entries) or any(not _has(kind, entries, texts) for kind in promised):
        return None
    result = {
        "assets": entries,
        "texts": texts,
        "metadata": facts.get("metadata") or {},
        "raw": facts.get("raw"),
        "usage": facts.get("usage"),
        "isRawPublic": connection.provider.runs_here,
    }
    return lifecycle.Delivered(
        result=result,
        assets=tuple(rows),
        outputs=len(entries) or len(texts),
        expected=int(task.definition.get("expected_outputs") or 1),
        response=facts.get("raw"),
    )


def _has(kind: str, entries: Sequence[dict[str, Any]], texts: Sequence[str]) -> bool:
    if kind == "texts":
        return bool(texts)
    return any(entry["type"] == kind.removesuffix("s") for entry in entries)


def _later(
    task: Task,
    invocation: Invocation,
    error: ProviderError | PodiError,
    outputs: Sequence[Output],
    connection: executors.Connection,
) -> None:
    """Storing failed for now. Try again without running the model again; some tries, or to the deadline."""
    now = timezone.now()
    code = error.code
    message = error.message if isinstance(error, ProviderError) else error.stored_text
    can_fetch_again = all(output.locator is not None or output.text is not None for output in outputs)
    tries = invocation.store_count
    problem = lifecycle.Problem(code=code, message=message, is_retryable=True)
    if can_fetch_again and tries < MAX_STORE_TRIES and task.deadline_at > now:
        pause_s = STORE_BACKOFF_S[min(tries - 1, len(STORE_BACKOFF_S) - 1)]
        Invocation.objects.filter(pk=invocation.pk, step=Invocation.Step.COLLECTING).update(
            claimed_until=None,
            next_poll_at=now + timedelta(seconds=pause_s),
            error_code=code,
            error_message=message[:4000],
        )
        return
    if not can_fetch_again and connection.provider.is_repeatable and task.attempt < task.max_attempts:
        lifecycle.requeue(task, invocation, problem=problem, not_before=now + timedelta(seconds=2))
        return
    lifecycle.fail(task, invocation, problem)


def _cancel_if_asked(task: Task, invocation: Invocation) -> None:
    """The end did not come through: either somebody else ended the task, or a cancel was asked in the meantime."""
    task.refresh_from_db(fields=["state", "attempt", "cancel_requested_at"])
    if task.state == Task.State.RUNNING and task.attempt == invocation.attempt and task.cancel_requested_at:
        lifecycle.cancel(task, invocation)


def _forget(invocation: Invocation, connection: executors.Connection) -> None:
    """Tell the provider it may drop its record of the work. Only tidiness: a failure changes nothing."""
    try:
        connection.provider.forget(invocation.ref)
    except ProviderError:
        logger.info("the provider could not forget %s", invocation.ref, exc_info=True)
