"""What the doors of abilities and tasks have in common: reading a body, keys and waits, and wording an end."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from abilities import errors, results, services
from abilities.models import Task
from podi.base import idempotency
from podi.base.api import envelope
from podi.base.errors import InvalidInput, PodiError

_S = TypeVar("_S", bound=serializers.Serializer[Any])


def read_body(kind: type[_S], request: Request) -> _S:
    """The validated body; raises InvalidInput (422) naming each wrong field."""
    serializer = kind(data=request.data if request.data is not None else {})
    serializer.is_valid(raise_exception=True)
    return serializer


def read_once(request: Request) -> services.Once | None:
    key = idempotency.read_key(request.headers)
    if key is None:
        return None
    mark = idempotency.fingerprint(request.method or "", request.path, request.data)
    return services.Once(key=key, fingerprint=mark)


def wait_s(request: Request, body: serializers.Serializer[Any] | None = None, *, default: float | None = None) -> float:
    """How long the caller will wait, bounded by INVOKE_MAX_WAIT_S. `wait` in the query or the body."""
    asked: Any = request.query_params.get("wait")
    if asked is None and body is not None:
        asked = body.validated_data.get("wait")
    if asked is None:
        return settings.INVOKE_WAIT_S if default is None else default
    try:
        seconds = float(asked)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 100_000:
        raise InvalidInput(fields={"wait": _("Seconds, 0 or more.")})
    return min(seconds, settings.INVOKE_MAX_WAIT_S)


def is_dry_run(request: Request, body: serializers.Serializer[Any]) -> bool:
    return bool(body.validated_data.get("dryRun")) or request.query_params.get("dryRun", "").lower() in {"1", "true"}


def dry_run(prepared: services.Prepared) -> dict[str, Any]:
    """What would happen: the checked inputs, the price, the executor. Nothing is stored or run."""
    route = prepared.route
    executor = next(iter(route.usable or route.candidates), None) if route else None
    quote = prepared.quote
    return {
        "dryRun": True,
        "status": "valid",
        "abilityId": prepared.ability.id,
        "provider": prepared.ability.provider,
        "version": prepared.ability.version,
        "inputs": dict(prepared.checked.values),
        "images": [picture.field for picture in prepared.checked.images],
        "ignoredInputs": [*prepared.checked.unknown, *prepared.call.unknown],
        "executorId": executor.pk if executor else None,
        "executorName": executor.name if executor else None,
        "expectedOutputs": prepared.expected_outputs,
        "price": {
            "unit": quote.price.unit or None,
            "unitPrice": str(quote.price.unit_price) if quote.price.unit_price is not None else None,
            "currency": quote.price.currency or None,
            "quantity": quote.quantity,
            "amount": str(quote.amount) if quote.amount is not None else None,
            "points": quote.points,
        },
    }


def invoked(request: Request, task: Task, *, log_id: int | None = None) -> Response:
    """The answer of invoke: the result, a hand-over, or the task's failure as an HTTP error."""
    log_id = log_id or services.log_id_of(task)
    if task.state in (Task.State.FAILED, Task.State.CANCELLED):
        raise failure(task, log_id=log_id)
    answer = results.invoke_response(task, log_id=log_id, with_raw=request.user.is_staff)
    if not task.is_terminal:
        answer |= place(task)
        return Response(answer, headers={"Retry-After": "1", "Location": answer["links"]["self"]})
    return Response(answer)


def place(task: Task) -> dict[str, Any]:
    if task.state != Task.State.QUEUED:
        return {}
    found = services.queue_place(task)
    return {"queuePosition": found.position, "estimatedWaitMs": found.estimated_wait_ms}


def failure(task: Task, *, log_id: int | None) -> PodiError:
    """A failed task as an error: its own code, the status that code has elsewhere, and where to look."""
    return errors.TaskFailed(
        task.error_code,
        task.error_message,
        status=status_of(task.error_code),
        retryable=task.is_error_retryable,
        details={
            "status": task.state,
            "abilityId": task.ability_id,
            "taskId": results.public_id(task),
            "logId": log_id,
            "durationMs": results.duration_ms(task),
        },
    )


def status_of(code: str) -> int:
    """The HTTP status of a code that a task ended with. What no class of ours declares came from a provider: 502."""
    return _statuses().get(code.split(":", 1)[0], 502)


@cache
def _statuses() -> dict[str, int]:
    found = {"CANCELLED": 409, "PROVIDER_REJECTED": 422, "PROVIDER_BUSY": 429}

    def collect(kind: type[PodiError]) -> None:
        for sub in kind.__subclasses__():
            found.setdefault(sub.code, sub.status)
            collect(sub)

    collect(PodiError)
    return found


def guarded(request: Request, render: Callable[[], Response]) -> Callable[[], Response]:
    """`render` after a wait runs outside DRF's own error handling: give it the same."""

    def call() -> Response:
        try:
            return render()
        except PodiError as error:
            return envelope.handle(error, {"request": request})

    return call
