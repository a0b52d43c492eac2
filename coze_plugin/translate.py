"""From a tool's flat body to a call of ours: strict by the ability's fields, spellings only where they are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from abilities import services as abilities
from abilities.models import Ability
from abilities.services import Call, Prepared
from coze_plugin import pictures
from podi.base.errors import InvalidInput

DRY_RUN: Final = "dryRun"
EXECUTOR_ID: Final = "executorId"
DRY_RUN_NAMES: Final = (DRY_RUN, "dry_run")
EXECUTOR_NAMES: Final = (EXECUTOR_ID, "executor_id")
_TRUE: Final = frozenset({"1", "true", "yes", "y", "on"})
_ASYNC_PROVIDERS: Final = frozenset({"volcengine", "kie"})
_ASYNC_KINDS: Final = frozenset(
    {"image_generation", "video_generation", "market_image_to_image", "market_text_to_video"}
)
_ASYNC_FLAGS: Final = ("async_mode", "async", "callback_mode")
_NODE_COUNTS: Final = {
    "jisu_chuli": ("batch", "amount", "n"),
    "zhongsu_tisheng": ("batch", "amount", "n"),
    "yinhua_tiqu": ("batch", "batch_count", "batchCount", "repeat_count", "n"),
}
_COUNTS: Final = ("n", "batch", "amount", "batch_count", "batchCount", "repeat_count")
_HEADERS: Final = {
    "traceId": "X-Tt-Logid",
    "cozeUserId": "X-Aiplugin-Connector-Identifier",
    "cozeBotId": "X-AIPlugin-Bot-ID",
    "cozeConversationId": "X-AIPlugin-Conversation-ID",
}


@dataclass
class _Reading:
    """What was found in a body so far."""

    inputs: dict[str, Any] = field(default_factory=dict)
    spare: list[str] = field(default_factory=list)
    """Pictures under a listed spelling that is no field of this ability."""
    spare_names: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    problems: dict[str, str | Promise] = field(default_factory=dict)


def read_call(ability: Ability, body: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
    """Raises InvalidInput for a picture that is none, and for more pictures than there are places."""
    fields = abilities.fields_of(ability.input_schema)
    declared = _by_name(fields)
    reading = _Reading()
    own = {*DRY_RUN_NAMES, *EXECUTOR_NAMES} - set(declared)
    for name, value in body.items():
        if not pictures.is_blank(value) and name not in own:
            _read_field(reading, str(name), value, declared.get(name))
    _place_spare(reading, fields)
    if reading.problems:
        raise InvalidInput(fields=reading.problems)
    return Call(
        inputs=reading.inputs,
        executor_id="" if EXECUTOR_ID in declared else _first_text(body, EXECUTOR_NAMES),
        metadata={
            "requestFrom": "coze",
            **{ours: headers[name] for ours, name in _HEADERS.items() if headers.get(name)},
        },
        unknown=tuple(sorted(reading.unknown)),
    )


def wants_dry_run(ability: Ability | None, body: Mapping[str, Any]) -> bool:
    """Whether the caller asks for a sample, by a name that is not one of the ability's own fields."""
    declared = _by_name(abilities.fields_of(ability.input_schema)) if ability else {}
    return any(str(body.get(name, "")).strip().lower() in _TRUE for name in DRY_RUN_NAMES if name not in declared)


def is_async(ability: Ability) -> bool:
    """Whether a tool answers with a task id at once (contract 1.11); else it waits a bounded time first."""
    metadata = ability.metadata or {}
    if ability.provider == "comfyui" or any(metadata.get(flag) for flag in _ASYNC_FLAGS):
        return True
    return ability.provider in _ASYNC_PROVIDERS and metadata.get("api_type") in _ASYNC_KINDS


def expected_images(prepared: Prepared) -> int:
    """How many pictures a call will give: what the ability promises, else the contract's rule."""
    metadata, values = prepared.ability.metadata or {}, prepared.checked.values
    promised = metadata.get("outputs")
    if isinstance(promised, Mapping) and promised:
        wanted = promised.get("images", 0)
        return _whole(values.get(wanted, 1) if isinstance(wanted, str) else wanted)
    is_node = prepared.ability.provider == "comfyui"
    for name in _NODE_COUNTS.get(prepared.ability.capability_key, ()) if is_node else _COUNTS:
        if name in values:
            return max(1, _whole(values[name]))
    most = metadata.get("max_output_images")
    return max(1, _whole(most)) if most and not is_node else 1


def _by_name(fields: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Names win over aliases."""
    found = {alias: field for field in fields for alias in field.get("aliases") or ()}
    return {**found, **{field["name"]: field for field in fields}}


def _read_field(reading: _Reading, name: str, value: Any, definition: Mapping[str, Any] | None) -> None:
    is_spelling = name in pictures.NAMES
    if definition is None and not is_spelling:
        reading.unknown.append(name)
        return
    is_picture = definition is not None and definition.get("type") == "image"
    try:
        if definition is None:
            reading.spare += [picture for picture in pictures.read(value) if picture not in reading.spare]
            reading.spare_names.append(name)
        elif is_picture:
            found = reading.inputs.setdefault(definition["name"], [])
            found += [picture for picture in pictures.read(value) if picture not in found]
        elif is_spelling and isinstance(value, list | dict):
            reading.inputs[definition["name"]] = "\n".join(pictures.read(value))
        elif name == definition["name"] or definition["name"] not in reading.inputs:
            reading.inputs[definition["name"]] = value
    except ValueError as error:
        reading.problems[name] = error.args[0]


def _place_spare(reading: _Reading, fields: Sequence[Mapping[str, Any]]) -> None:
    """The main picture first, then the ability's list of further pictures, if it has one."""
    places = [f for f in fields if f.get("type") == "image"]
    places += [f for f in fields if f.get("type") in ("text", "textarea") and f["name"] in pictures.NAMES]
    if not places:
        reading.unknown += reading.spare_names
        return
    given = [picture for place in places for picture in _given(reading, place)]
    left = [picture for picture in reading.spare if picture not in given]
    for place in places:
        room = _room(place) - len(_given(reading, place))
        taken, left = (left[:room], left[room:]) if room > 0 else ([], left)
        if taken:
            together = [*_given(reading, place), *taken]
            reading.inputs[place["name"]] = together if place.get("type") == "image" else "\n".join(together)
    if left:
        most = sum(_room(place) for place in places)
        problem = _("At most %(limit)d picture(s).") % {"limit": most}
        reading.problems[reading.spare_names[0]] = problem


def _given(reading: _Reading, place: Mapping[str, Any]) -> list[str]:
    value = reading.inputs.get(place["name"])
    if isinstance(value, list):
        return list(value)
    return [line.strip() for line in str(value).splitlines() if line.strip()] if value is not None else []


def _room(place: Mapping[str, Any]) -> int:
    if place.get("multiple") or place["name"] in pictures.LIST_NAMES:
        return int(place.get("max_items") or 20)
    return 1


def _first_text(body: Mapping[str, Any], names: Sequence[str]) -> str:
    found = (body[name].strip() for name in names if isinstance(body.get(name), str))
    return next((text for text in found if text), "")[:64]


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 1
