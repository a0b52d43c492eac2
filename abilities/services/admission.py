"""Before a task exists: is the call right, what does it cost, who could do it. Nothing is stored here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from abilities import errors, inputs, pricing, schema
from abilities.models import Ability, Task
from abilities.orders import workflow_by_key
from abilities.services.abilities import find_ability
from abilities.services.examining import examine
from executors import services as executors
from executors.providers.base import Examined, Provider
from media import services as media
from podi.base.errors import InvalidInput
from podi.events import services as events

MAX_METADATA_BYTES = 16 * 1024
MAX_PRIORITY = 9
MIN_DEADLINE_S, MAX_DEADLINE_S = 5, 7 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a caller asks, in our words; the doors translate theirs into it."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    """Top-level pictures (`imageUrl`, `imageBase64`, `images`): URL, data URL or base64 text."""
    executor_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    callback_url: str = ""
    callback_headers: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    deadline_s: int | None = None
    priority: int = 0
    unknown: tuple[str, ...] = ()
    """Names in the body that mean nothing here: ignored, and told to the caller."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A call that may become a task."""

    ability: Ability
    call: Call
    checked: inputs.CheckedInputs
    quote: pricing.Quote
    expected_outputs: int
    provider: type[Provider]
    need: executors.Need
    route: executors.Route | None
    """None where the work needs no executor and none was named."""
    deadline_s: int
    """So long after its creation the task ends, whatever has become of it."""
    examined: Examined = field(default_factory=Examined)
    """Files that the inputs name, and what else the provider saw in them."""


def prepare(ability_id: str, call: Call, *, may_choose_inactive: bool = False) -> Prepared:
    """Check everything that can be checked without storing or fetching.

    Raises AbilityNotFound, AbilityInactive, InvalidInput, media and executor errors, callback errors.
    """
    ability = find_ability(ability_id, version=call.version)
    if ability.status != Ability.Status.ACTIVE and not may_choose_inactive:
        raise errors.AbilityInactive()
    checked = inputs.check(
        fields=schema.fields_of(ability.input_schema),
        defaults=ability.default_params or {},
        given=call.inputs,
        images=call.pictures,
    )
    for picture in checked.images:
        media.check_input(picture.value, field=picture.field)
    _check_metadata(call.metadata)
    _check_priority(call.priority)
    if call.callback_url:
        events.check_callback(call.callback_url, call.callback_headers)
    metadata = ability.metadata or {}
    expected = expected_outputs(metadata, checked.values)
    provider = executors.provider_class(ability.provider)
    examined = examine(provider, str(metadata.get("action") or ability.capability_key), checked)
    need = _need(
        metadata,
        provider=ability.provider,
        capability_key=ability.capability_key,
        ability_id=ability.id,
        asked_executor_id=call.executor_id,
        bound_executor_id=ability.executor_id or "",
        workflow_id=ability.workflow_id or "",
    )
    route = executors.route(need)
    return Prepared(
        ability=ability,
        call=call,
        checked=checked,
        quote=pricing.quote(metadata, expected_outputs=expected),
        expected_outputs=expected,
        provider=provider,
        need=need,
        route=route if route.candidates else None,
        deadline_s=_deadline_s(call.deadline_s, metadata),
        examined=examined,
    )


def need_of(task: Task) -> executors.Need:
    """What a task needs, by the definition it was created with: a later change of the ability does not reach it."""
    frozen = task.definition
    return _need(
        frozen.get("metadata") or {},
        provider=task.provider,
        capability_key=task.capability_key,
        ability_id=task.ability_id or "",
        asked_executor_id=task.wanted_executor_id,
        bound_executor_id=frozen.get("executor_id") or "",
        workflow_id=frozen.get("workflow_id") or "",
    )


def _need(
    metadata: Mapping[str, Any],
    *,
    provider: str,
    capability_key: str,
    ability_id: str,
    asked_executor_id: str,
    bound_executor_id: str,
    workflow_id: str,
) -> executors.Need:
    if not workflow_id and metadata.get("workflow_key"):
        found = workflow_by_key(str(metadata["workflow_key"]))
        workflow_id = found.pk if found else ""
    return executors.Need(
        provider=provider,
        capability_key=capability_key,
        ability_id=ability_id,
        asked_executor_id=asked_executor_id,
        bound_executor_id=bound_executor_id,
        action=str(metadata.get("action") or ""),
        allowed_executor_ids=tuple(metadata.get("allowed_executor_ids") or ()),
        required_tags=tuple(metadata.get("required_tags") or ()),
        policy=str(metadata.get("routing_policy") or "auto"),
        fallback_to_default=bool(metadata.get("fallback_to_default", True)),
        workflow_id=workflow_id,
    )


def expected_outputs(metadata: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """How many results the ability promises: `metadata.outputs`, whose number may name an input (`"batch"`)."""
    promised = metadata.get("outputs")
    if not isinstance(promised, Mapping) or not promised:
        return 1
    total = 0
    for count in promised.values():
        wanted = values.get(count, 1) if isinstance(count, str) else count
        total += int(wanted) if isinstance(wanted, int | float) else 1
    return max(1, total)


def _check_priority(priority: int) -> None:
    if not 0 <= priority <= MAX_PRIORITY:
        raise InvalidInput(fields={"priority": f"0 to {MAX_PRIORITY}"})


def _deadline_s(asked_s: int | None, metadata: Mapping[str, Any]) -> int:
    seconds = asked_s if asked_s is not None else int(metadata.get("deadline_s") or settings.TASK_DEADLINE_S)
    if not MIN_DEADLINE_S <= seconds <= MAX_DEADLINE_S:
        raise InvalidInput(fields={"deadlineSeconds": f"{MIN_DEADLINE_S} to {MAX_DEADLINE_S}"})
    return seconds


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    size_bytes = sum(len(str(key)) + len(str(value)) for key, value in metadata.items())
    if size_bytes > MAX_METADATA_BYTES:
        raise InvalidInput(fields={"metadata": f"At most {MAX_METADATA_BYTES} bytes."})
