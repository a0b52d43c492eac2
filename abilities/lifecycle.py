"""The state machine of tasks: the only module that writes a task's state, with everything that must change beside it.

| from    | to        | when                                                             |
|---------|-----------|------------------------------------------------------------------|
| (new)   | queued    | created, points held                                             |
| queued  | running   | a dispatch claimed it                                            |
| queued  | cancelled | cancelled before it began                                        |
| queued  | failed    | nothing could take it before its deadline                        |
| running | queued    | the attempt failed, was surely not taken, and attempts are left  |
| running | succeeded | outputs are stored                                               |
| running | failed    | refused, out of attempts, past its deadline, or outcome unknown  |
| running | cancelled | cancel was asked and the provider stopped it                     |

Every change is a compare-and-set on state and attempt inside one transaction with the invocation, the points, the lease
and the event. False means somebody was first, and the caller steps back. Terminal is terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from abilities import doorbell, pricing, results
from abilities.atomicity import whole
from abilities.models import Invocation, Task, TaskAsset
from executors import services as executors
from podi.events import services as events
from wallet import services as wallet

STATUS_TOPIC = "ability-task.status"
_RING_TRIES = 3
"""Two that end at once ring for two different tasks; who finds the same one looks again."""
_State = Task.State
TRANSITIONS: frozenset[tuple[str, str]] = frozenset(
    {
        (_State.QUEUED, _State.RUNNING),
        (_State.QUEUED, _State.CANCELLED),
        (_State.QUEUED, _State.FAILED),
        (_State.RUNNING, _State.QUEUED),
        (_State.RUNNING, _State.SUCCEEDED),
        (_State.RUNNING, _State.FAILED),
        (_State.RUNNING, _State.CANCELLED),
    }
)


class ForbiddenTransition(AssertionError):
    """A transition outside the table was asked for: a bug of ours."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a task or an attempt ended badly. `message` is fit for the caller."""

    code: str
    message: str
    is_retryable: bool = False


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What a finished attempt delivered, all of it already in our own storage."""

    result: Mapping[str, Any]
    assets: tuple[TaskAsset, ...] = ()
    outputs: int = 0
    """Billable results: pictures, videos or texts."""
    expected: int = 1
    response: Any = None


def open_task(task: Task, *, first: Invocation | None = None) -> None:
    """Insert a new task; with `first`, already claimed by the caller (queued and running in one transaction).

    Expects the caller's transaction, in which points and place are already taken.
    """
    now = task.created_at
    facts = [_fact(task, log_id=None, moment=now)]
    if first is not None:
        task.state, task.attempt, task.started_at = _State.RUNNING, first.attempt, now
    task.save(force_insert=True)
    if first is not None:
        first.task = task
        first.save(force_insert=True)
        facts.append(_fact(task, log_id=first.pk, moment=now))
    events.record_all(facts)


def advance(task: Task, to: str, expected: Mapping[str, Any] | None = None, /, **changes: Any) -> bool:
    """Move the state if it, the attempt and what else is `expected` still hold; the instance follows only then.

    Expects a transaction. Raises ForbiddenTransition outside the table.
    """
    if (task.state, to) not in TRANSITIONS:
        raise ForbiddenTransition(f"{task.state} → {to}")
    now = timezone.now()
    changed = Task.objects.filter(pk=task.pk, state=task.state, attempt=task.attempt, **(expected or {})).update(
        state=to, updated_at=now, **changes
    )
    if changed:
        for name, value in {**changes, "state": to, "updated_at": now}.items():
            setattr(task, name, value)
    return bool(changed)


def claim(task: Task, invocation: Invocation) -> bool:
    """queued → running for one attempt. Opens its own transaction (or joins the caller's)."""

    def work() -> bool:
        now = timezone.now()
        moved = advance(
            task,
            _State.RUNNING,
            attempt=invocation.attempt,
            started_at=task.started_at or now,
            executor=invocation.executor,
            not_before=None,
            is_parked=False,
            progress=0.0,
        )
        if moved:
            invocation.save(force_insert=True)
            events.record_all([_fact(task, log_id=invocation.pk, moment=now)])
        return moved

    return whole(work, task, invocation)


def requeue(
    task: Task,
    invocation: Invocation,
    *,
    problem: Problem,
    not_before: datetime | None,
    status: str = Invocation.Status.FAILED,
    avoided_executor_ids: list[str] | None = None,
    is_free: bool = False,
) -> bool:
    """running → queued after an attempt that was surely not taken. The place in the queue is kept, the slot goes on.

    A free attempt is not counted: nobody was there to take the work. A cancel that was asked meanwhile wins: the task
    ends as cancelled. False when somebody was first.
    """

    def work() -> bool:
        changes = {"max_attempts": task.max_attempts + 1} if is_free else {}
        moved = advance(
            task,
            _State.QUEUED,
            {"cancel_requested_at": None},
            not_before=not_before,
            rung_at=None,
            progress=0.0,
            avoided_executor_ids=avoided_executor_ids or [],
            **changes,
        )
        if moved:
            _close(invocation, status=status, problem=problem)
            if task.executor_id:
                executors.park(task.id)
                _ring_next(task)
            events.record_all([_fact(task, log_id=invocation.pk, moment=timezone.now(), reason=problem)])
        return moved

    if whole(work, task, invocation):
        return True
    task.refresh_from_db(fields=["cancel_requested_at"])
    return task.cancel_requested_at is not None and cancel(task, invocation)


def succeed(task: Task, invocation: Invocation, delivered: Delivered, *, unless_cancel_asked: bool = False) -> bool:
    """running → succeeded: outputs lie in our storage, points are confirmed by what was delivered.

    `unless_cancel_asked`: where throwing the result away costs nothing, a cancel that was asked meanwhile wins.
    """

    def work() -> bool:
        now = timezone.now()
        expected = {"cancel_requested_at": None} if unless_cancel_asked else {}
        if not advance(
            task, _State.SUCCEEDED, expected, result=dict(delivered.result), progress=1.0, finished_at=now, rung_at=None
        ):
            return False
        if delivered.assets:
            TaskAsset.objects.bulk_create(delivered.assets)
        price = pricing.price_of(task.definition.get("metadata") or {})
        quantity = pricing.delivered_quantity(price, outputs=delivered.outputs)
        if task.hold_id:
            share = min(1.0, delivered.outputs / max(1, delivered.expected)) if price.unit == "per_image" else 1.0
            wallet.confirm(task.hold_id, points=min(task.price_points, round(task.price_points * share)))
        assets = (delivered.result.get("assets") or [])[:20]
        _close(
            invocation,
            status=Invocation.Status.SUCCESS,
            response_payload=delivered.response,
            result_assets=assets,
            stored_url=str(assets[0]["objectKey"])[:512] if assets else "",
            quantity=Decimal(quantity),
            cost_amount=pricing.amount(price, Decimal(quantity)),
        )
        _end(task, invocation, moment=now)
        return True

    return whole(work, task, invocation)


def fail(task: Task, invocation: Invocation | None, problem: Problem, *, response: Any = None) -> bool:
    """To failed, from queued or running. Points go back."""
    return _end_badly(task, invocation, to=_State.FAILED, problem=problem, response=response)


def cancel(task: Task, invocation: Invocation | None = None) -> bool:
    """To cancelled, from queued or (the provider stopped it) running. Points go back."""
    problem = Problem(code="CANCELLED", message="", is_retryable=True)
    return _end_badly(task, invocation, to=_State.CANCELLED, problem=problem)


def note_progress(task: Task, progress: float) -> None:
    """Progress of a running task: the row and an event. Losing one costs nothing."""
    with transaction.atomic():
        changed = Task.objects.filter(pk=task.pk, state=_State.RUNNING, attempt=task.attempt).update(
            progress=progress, updated_at=timezone.now()
        )
        if changed:
            task.progress = progress
            events.record_all([_fact(task, log_id=None, moment=timezone.now())])


def _end_badly(task: Task, invocation: Invocation | None, *, to: str, problem: Problem, response: Any = None) -> bool:
    def work() -> bool:
        now = timezone.now()
        if not advance(
            task,
            to,
            error_code=problem.code[:128],
            error_message=_sound(problem.message),
            is_error_retryable=problem.is_retryable,
            finished_at=now,
            rung_at=None,
            is_parked=False,
        ):
            return False
        if task.hold_id:
            wallet.release(task.hold_id)
        if invocation is not None:
            was_cancelled = to == _State.CANCELLED
            _close(
                invocation,
                status=Invocation.Status.CANCELLED if was_cancelled else Invocation.Status.FAILED,
                problem=problem,
                # What was said when the work was taken stays, where the end has nothing to add.
                **({} if response is None else {"response_payload": response}),
            )
        _end(task, invocation, moment=now)
        return True

    return whole(work, task, invocation)


def _end(task: Task, invocation: Invocation | None, *, moment: datetime) -> None:
    """What every end has in common: the lease goes back, the event is recorded, the callback is due."""
    if task.executor_id:
        executors.free(task.id)
        _ring_next(task)
    log_id = invocation.pk if invocation else None
    fact = _fact(task, log_id=log_id, moment=moment)
    if not task.callback_url:
        events.record_all([fact])
        return
    callback = events.Callback(
        url=task.callback_url,
        headers=task.callback_headers,
        body=results.callback_body(task, log_id=log_id, moment=moment),
    )
    events.record(
        events.Fact(
            topic=fact.topic, subject=fact.subject, owner_id=fact.owner_id, payload=fact.payload, callback=callback
        )
    )


def _ring_next(task: Task) -> None:
    """A slot is free: ring for the task that should have it, first of this executor's line, else of the provider's."""
    now = timezone.now()
    parked = (
        Task.objects.filter(is_parked=True, provider=task.provider, state=_State.QUEUED)
        .exclude(not_before__gt=now)
        .order_by("-priority", "created_at")
        .values_list("pk", flat=True)
    )
    if not parked.order_by().exists():
        return
    for _try in range(_RING_TRIES):
        following = parked.filter(executor_id=task.executor_id).first() or parked.first()
        if following is None:
            return
        if Task.objects.filter(pk=following, is_parked=True).update(is_parked=False, rung_at=now):
            doorbell.ring_dispatch(following)
            return


def _close(invocation: Invocation, *, status: str, problem: Problem | None = None, **changes: Any) -> None:
    now = timezone.now()
    begun = invocation.sent_at or invocation.created_at
    changes |= {
        "status": status,
        "step": Invocation.Step.CLOSED,
        "claimed_until": None,
        "next_poll_at": None,
        "pending_outputs": None,
        "finished_at": now,
        "duration_ms": max(0, int((now - begun).total_seconds() * 1000)),
        "sent_at": invocation.sent_at,
        "accepted_at": invocation.accepted_at,
        "done_at": invocation.done_at,
        "ref": invocation.ref,
        "updated_at": now,
    }
    if problem is not None:
        changes |= {"error_code": problem.code[:128], "error_message": _sound(problem.message)}
    Invocation.objects.filter(pk=invocation.pk).update(**changes)
    for name, value in changes.items():
        setattr(invocation, name, value)


def _sound(message: str) -> str:
    """Cut, and without the halves of characters that some services send and no database takes."""
    return message[:4000].encode("utf-8", "replace").decode()


def _fact(task: Task, *, log_id: int | None, moment: datetime, reason: Problem | None = None) -> events.Fact:
    payload = results.status_payload(task, log_id=log_id, moment=moment)
    if reason is not None:
        payload |= {"reason": reason.code, "message": reason.message[:500]}
    return events.Fact(topic=STATUS_TOPIC, subject=("task", task.id), owner_id=task.owner_id, payload=payload)
