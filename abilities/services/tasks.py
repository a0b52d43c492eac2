"""A task from the outside: create, find, cancel, try again. Every door ends in `create_task`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone

from abilities import attempts, doorbell, errors, lifecycle
from abilities.atomicity import whole
from abilities.models import Ability, Invocation, Task, TaskAsset
from abilities.redaction import redact
from abilities.services.admission import Prepared, need_of
from abilities.services.examining import kept_with_task
from executors import errors as executor_errors
from executors import services as executors
from executors.providers.base import Provider
from media import services as media
from media.models import Asset
from podi.base import idempotency
from podi.base.errors import ConcurrencyLimited
from podi.base.ids import decode_task_id
from podi.base.models import ApiToken, User
from wallet import services as wallet

_COPIED = (
    "ability_id",
    "ability_name",
    "ability_version",
    "provider",
    "capability_key",
    "owner_id",
    "source",
    "priority",
    "max_attempts",
    "wanted_executor_id",
    "inputs",
    "request",
    "definition",
    "metadata",
    "trace_id",
    "workflow_run_id",
    "callback_url",
    "callback_headers",
    "price_points",
)
_TRACE = re.compile(r"[^\w.:/@-]")


@dataclass(frozen=True, kw_only=True)
class Once:
    """An Idempotency-Key and the request it belongs to."""

    key: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Created:
    """A task and, when the creator claimed it at once, the invocation it must now run."""

    task: Task
    invocation: Invocation | None = None
    is_new: bool = True


@dataclass(frozen=True, kw_only=True)
class QueuePlace:
    position: int | None
    estimated_wait_ms: int | None


def create_task(
    actor: User,
    prepared: Prepared,
    *,
    source: str,
    token: ApiToken | None = None,
    once: Once | None = None,
    start: bool = False,
) -> Created:
    """Store the pictures, then in ONE transaction: place, points, task, event.

    `start=True` also claims it for this process when a slot is free; the caller must then run the invocation. Otherwise
    a worker is rung after commit. Raises QueueFull, WalletInsufficient, media errors; then nothing was created or held.
    """
    assets = [
        (picture.field, media.take_input(picture.value, owner=actor, field=picture.field))
        for picture in prepared.checked.images
    ]
    if prepared.provider.finishes_on_submit and _pixels(assets) > settings.INVOKE_INLINE_MAX_PIXELS:
        start = False  # seconds of computing belong into a worker; the caller waits without a thread
    task = _new_task(actor, prepared, source=source, token=token)
    task.inputs = {
        "values": dict(prepared.checked.values),
        "files": [{"field": name, "assetId": asset.id} for name, asset in assets],
        **kept_with_task(prepared.examined),
    }
    return _store(actor, task, route=prepared.route, provider=prepared.provider, assets=assets, once=once, start=start)


def repeated_task(actor: User, once: Once | None) -> Task | None:
    """The task an earlier request with this Idempotency-Key made. Raises IdempotencyKeyReused for another request."""
    if once is None:
        return None
    subject_id = idempotency.find(actor, once.key, fingerprint=once.fingerprint)
    return find_task(actor, subject_id) if subject_id else None


def find_task(actor: User, task_id: str) -> Task:
    """By plain or `t1.` id; another user's task is as absent as none. Raises TaskNotFound."""
    task = Task.objects.filter(pk=decode_task_id(task_id)).first()
    if task is None or not (actor.is_staff or task.owner_id == actor.pk):
        raise errors.TaskNotFound()
    return task


def tasks_of(actor: User) -> QuerySet[Task]:
    """Newest first; operators see all."""
    tasks = Task.objects.all() if actor.is_staff else Task.objects.filter(owner=actor)
    return tasks.order_by("-created_at", "-id")


def log_ids_of(tasks: Sequence[Task]) -> dict[str, int]:
    """The last call of each of these tasks, by task id. One query, whatever the number of old tasks (R30)."""
    rows = Invocation.objects.filter(task__in=tasks).values_list("task_id").order_by().annotate(last=Max("id"))
    return {str(task_id): last for task_id, last in rows}


def log_id_of(task: Task) -> int | None:
    if not task.attempt:
        return None
    return task.invocations.order_by("-attempt").values_list("id", flat=True).first()


def cancel_task(actor: User, task: Task) -> Task:
    """Cancel now if it still waits; ask the provider if it runs. Raises TaskNotCancellable.

    A running task stays running until the provider has stopped it or finished first; both are told by the events.
    """
    if task.is_terminal:
        if task.state == Task.State.CANCELLED:
            return task
        raise errors.TaskNotCancellable()
    if task.state == Task.State.QUEUED and lifecycle.cancel(task):
        return task
    fresh = Task.objects.get(pk=task.pk)
    if fresh.is_terminal:
        return cancel_task(actor, fresh)
    provider = executors.provider_class(task.provider)
    if not (provider.can_cancel or provider.is_repeatable):
        raise errors.TaskNotCancellable()
    now = timezone.now()
    Task.objects.filter(pk=task.pk, cancel_requested_at=None).update(cancel_requested_at=now, updated_at=now)
    fresh.refresh_from_db()
    doorbell.ring_cancel(task.pk)
    return fresh


def retry_task(actor: User, task: Task, *, token: ApiToken | None = None, once: Once | None = None) -> Created:
    """A new task with the same inputs and the same frozen definition, which names the old one."""
    if task.state not in (Task.State.FAILED, Task.State.CANCELLED):
        raise errors.TaskNotRetryable()
    ability = task.ability
    if ability is None or ability.status != Ability.Status.ACTIVE:
        raise errors.AbilityInactive()
    provider = executors.provider_class(task.provider)
    found = executors.route(need_of(task))
    route = found if found.candidates else None
    now = timezone.now()
    lifetime = task.deadline_at - task.created_at
    again = Task(
        **{name: getattr(task, name) for name in _COPIED},
        api_token=token,
        retry_of=task,
        created_at=now,
        deadline_at=now + lifetime,
    )
    rows = list(task.assets.select_related("asset").filter(asset_type="input"))
    by_id = {row.asset_id: row.asset for row in rows}
    files = [(f["field"], by_id[f["assetId"]]) for f in task.inputs.get("files", []) if f["assetId"] in by_id]
    named = {entry["field"] for entry in task.inputs.get("named", [])}
    files += [(row.field, row.asset) for row in rows if row.field in named]  # fetched once is enough
    return _store(actor, again, route=route, provider=provider, assets=files, once=once, start=False)


def queue_place(task: Task) -> QueuePlace:
    """Where a waiting task stands. Tasks without an executor stand in one line per provider."""
    if task.state != Task.State.QUEUED:
        return QueuePlace(position=None, estimated_wait_ms=None)
    typical_s = _typical_s(task)
    if task.executor_id:
        place = executors.position(task.pk, typical_s=typical_s)
        wait_ms = int(place.eta_s * 1000) if place and place.eta_s is not None else None
        return QueuePlace(position=place.position if place else None, estimated_wait_ms=wait_ms)
    waiting = Task.objects.filter(provider=task.provider, state=Task.State.QUEUED, executor=None)
    ahead = waiting.filter(priority__gt=task.priority).count()
    ahead += waiting.filter(priority=task.priority, created_at__lt=task.created_at).count()
    wait_ms = int(typical_s * 1000 * ahead / settings.ABILITY_TASK_MAX_WORKERS) if typical_s is not None else None
    return QueuePlace(position=ahead + 1, estimated_wait_ms=wait_ms)


def _typical_s(task: Task) -> float | None:
    """How long the last calls of this ability ran, in seconds; None when there were none."""
    recent = (
        Invocation.objects.filter(ability_id=task.ability_id, status=Invocation.Status.SUCCESS)
        .order_by("-created_at")
        .values_list("duration_ms", flat=True)[:20]
    )
    known = [ms for ms in recent if ms is not None]
    return sum(known) / len(known) / 1000 if known else None


def _new_task(actor: User, prepared: Prepared, *, source: str, token: ApiToken | None) -> Task:
    call, ability = prepared.call, prepared.ability
    now = timezone.now()
    metadata = ability.metadata or {}
    request = {
        "inputs": redact(dict(prepared.checked.values)),
        "imageUrl": redact(next((p.value for p in prepared.checked.images if p.value.startswith("http")), None)),
        "hasImageBase64": any(not p.value.startswith("http") for p in prepared.checked.images),
        "imageListCount": len(prepared.checked.images),
        "metadata": redact(dict(call.metadata)),
        "callbackConfigured": bool(call.callback_url),
        "userId": actor.pk,
        "executorId": call.executor_id or None,
        "ignoredInputs": [*prepared.checked.unknown, *call.unknown],
    }
    return Task(
        ability=ability,
        ability_name=ability.display_name,
        ability_version=ability.version,
        provider=ability.provider,
        capability_key=ability.capability_key,
        owner=actor,
        api_token=token,
        source=source,
        priority=call.priority,
        max_attempts=settings.TASK_MAX_ATTEMPTS,
        wanted_executor_id=call.executor_id,
        request=request,
        definition={
            "metadata": metadata,
            "executor_id": ability.executor_id,
            "workflow_id": ability.workflow_id,
            "coze_workflow_id": ability.coze_workflow_id,
            "ability_type": ability.ability_type,
            "expected_outputs": prepared.expected_outputs,
        },
        metadata=dict(call.metadata),
        trace_id=_trace(call.metadata.get("traceId")),
        workflow_run_id=_trace(call.metadata.get("workflowRunId")),
        callback_url=call.callback_url,
        callback_headers=dict(call.callback_headers),
        price_points=prepared.quote.points,
        deadline_at=now + timedelta(seconds=prepared.deadline_s),
        created_at=now,
    )


def _store(
    actor: User,
    task: Task,
    *,
    route: executors.Route | None,
    provider: type[Provider],
    assets: Sequence[tuple[str, Asset]],
    once: Once | None,
    start: bool,
) -> Created:
    def work() -> Invocation | None:
        if once is not None:
            idempotency.remember(actor, once.key, fingerprint=once.fingerprint, subject=("task", task.id))
        _check_open_tasks(task.api_token)
        first = _take_place(task, route, provider=provider, start=start)
        _hold_points(actor, task)
        if first is None:
            task.rung_at = task.created_at
            doorbell.ring_dispatch(task.id)
        lifecycle.open_task(task, first=first)
        _attach(task, assets)
        return first

    try:
        first = whole(work, task)
    except idempotency.AlreadyRemembered:
        repeated = repeated_task(actor, once)
        assert repeated is not None
        return Created(task=repeated, is_new=False)
    return Created(task=task, invocation=first)


def _hold_points(actor: User, task: Task) -> None:
    if task.price_points:
        held = wallet.hold(
            owner_id=task.owner_id or actor.pk,
            points=task.price_points,
            key=f"task:{task.id}",
            subject=("task", task.id),
            action=task.capability_key,
            channel=task.source,
        )
        task.hold_id = held.pk


def _take_place(
    task: Task, route: executors.Route | None, *, provider: type[Provider], start: bool
) -> Invocation | None:
    """A place in a queue and, if asked for and free, a slot; then the first invocation."""
    if route is None:
        return attempts.new_invocation(task, provider=provider, executor=None) if start else None
    lease = executors.reserve(route, holder=task.id)
    if lease is None:
        raise executor_errors.ExecutorNotConfigured()
    task.executor_id = lease.executor_id
    if not start:
        return None
    running = executors.start(task.id, route)
    if running is None:
        return None
    task.executor_id = running.executor_id
    return attempts.new_invocation(task, provider=provider, executor=running.executor, routing=route.explanation)


def _attach(task: Task, assets: Sequence[tuple[str, Asset]]) -> None:
    rows = [
        TaskAsset(task=task, asset=asset, asset_type=TaskAsset.Type.INPUT, field=name, position=position)
        for position, (name, asset) in enumerate(assets)
    ]
    if rows:
        TaskAsset.objects.bulk_create(rows)
    task.input_rows = rows  # type: ignore[attr-defined]  # spares `build_order` a query when this process runs it


def _pixels(assets: Sequence[tuple[str, Asset]]) -> int:
    return sum((asset.width or 0) * (asset.height or 0) for _field, asset in assets)


def _check_open_tasks(token: ApiToken | None) -> None:
    """The token's limit of open tasks. Touching its row first makes concurrent creators take turns on MySQL too."""
    if token is None or not token.max_concurrency:
        return
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=timezone.now())
    open_states = (Task.State.QUEUED, Task.State.RUNNING)
    if Task.objects.filter(api_token=token, state__in=open_states).count() >= token.max_concurrency:
        raise ConcurrencyLimited(retry_after_s=2, limit=token.max_concurrency)


def _trace(value: Any) -> str:
    """A caller's trace id, without what does not belong in one; empty means none was sent."""
    return _TRACE.sub("", str(value))[:64] if value not in (None, "") else ""
