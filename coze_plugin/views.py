"""The Coze door. What a workflow must branch on is HTTP 200 with status fields.

Only access, addresses that name nothing and unreadable bodies are HTTP errors: Coze shows no field of those to anybody.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from abilities import services as abilities
from abilities.errors import AbilityInactive, TaskIdRequired, TaskNotFound
from abilities.models import Ability, Task
from coze_plugin import addressing, answers, naming, openapi, pictures, services, translate, trials
from coze_plugin.authentication import Caller, authenticate, check_tool
from coze_plugin.errors import InternalOnly
from executors import services as executors
from podi.base.addresses import client_address
from podi.base.api import envelope
from podi.base.api.parsers import parse_json
from podi.base.api.request_id import read_request_id
from podi.base.errors import MalformedJson, MethodNotAllowed, NotFound, PodiError, RateLimited
from podi.base.models import User
from podi.base.services import ensure_service_user

UNKNOWN_TOOL: Final = "(unknown tool)"
MAX_TASK_ID_CHARS: Final = 1000
MAX_EXECUTORS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A task whose end the caller waits for, and the id in the caller's own form."""

    task: Task
    seconds: float
    as_id: str = ""


Begin = Callable[..., HttpResponse | Waiting]


def door(begin: Begin) -> Callable[..., HttpResponse]:
    """An async view: `begin` runs in a thread; a wait holds none; refusals become answers."""

    @wraps(begin)
    async def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        begun = await abilities.in_thread(partial(_guarded, begin, request, *args, **kwargs))
        if isinstance(begun, HttpResponse):
            return begun
        await abilities.wait_for_end(begun.task.pk, seconds=begun.seconds)
        return await abilities.in_thread(partial(_finish, begun))

    view.csrf_exempt = True  # type: ignore[attr-defined]
    return cast(Callable[..., HttpResponse], view)  # a coroutine, which Django's stubs for `path` do not know


@door
def call_tool(request: HttpRequest, provider: str, capability_key: str) -> HttpResponse | Waiting:
    """POST `tools/{provider}/{capability_key}`."""
    caller = _authenticate(request, tool=partial(_known_tool, provider, capability_key))
    _require(request, "POST")
    try:
        offer = services.find_offer(provider, capability_key)
    except AbilityInactive as error:
        return _refuse(request, error)
    try:
        check_tool(caller, offer.tool)
        limit = offer.tool.rate_per_minute
        services.take_turn(
            f"tool:{offer.ability.pk}", per_minute=settings.COZE_TOOL_RATE_PER_MINUTE if limit is None else limit
        )
    except (InternalOnly, RateLimited) as error:
        _note(request, error, tool=offer.name)
        if isinstance(error, InternalOnly):
            raise
        return _refuse(request, error)
    body = _read_body(request)
    if trials.is_trial(offer, body):
        return _json(trials.sample(offer, body, request.headers, server=addressing.server_url(request)))
    return _run(request, offer.ability, body)


@door
def get_task(request: HttpRequest) -> HttpResponse | Waiting:
    """POST `tasks/get`: any id that a tool has handed out (R11), in the form the caller has it."""
    _authenticate(request, tool=lambda: "tasks/get")
    _require(request, "POST")
    body = _read_body(request)
    task_id = next(
        (str(body[key]).strip() for key in ("taskId", "task_id") if not pictures.is_blank(body.get(key))), ""
    )
    if trials.is_trial_id(task_id) or translate.wants_dry_run(None, body):
        server = addressing.server_url(request)
        sample = trials.sample_of(trials.ability_of(task_id), server=server, task_id=task_id or trials.ANY_TASK_ID)
        return _json(sample)
    if not task_id:
        raise TaskIdRequired()
    if task_id.startswith("ERR|"):
        return _json(answers.of_err_text(task_id))
    try:
        services.take_turn("tasks/get", per_minute=settings.COZE_POLL_RATE_PER_MINUTE)
    except RateLimited as error:
        _note(request, error, tool="tasks/get")
        return _json(answers.hold_on(task_id[:MAX_TASK_ID_CHARS], error))
    task = _find_task(task_id)
    if task.is_terminal or settings.COZE_POLL_WAIT_S <= 0:
        return _json(answers.of_task(task, as_id=task_id))
    return Waiting(task=task, seconds=settings.COZE_POLL_WAIT_S, as_id=task_id)


@door
def queue_summary(request: HttpRequest) -> HttpResponse:
    """POST `comfyui/queue-summary`: the queues of the named nodes, else of all active ones."""
    _authenticate(request, tool=lambda: "comfyui/queue-summary")
    _require(request, "POST")
    body = _read_body(request)
    if translate.wants_dry_run(None, body):
        return _json(trials.sample_queues())
    try:
        services.take_turn("queue-summary", per_minute=settings.COZE_POLL_RATE_PER_MINUTE)
    except RateLimited as error:
        _note(request, error, tool="comfyui/queue-summary")
        raise
    wanted = _read_ids(body.get("executorIds", body.get("executor_ids")))
    summary = executors.summarise_queues(wanted)
    known = {node.executor_id for node in summary.servers}
    return _json(answers.queue_summary(summary, missing=[name for name in wanted if name not in known]))


@door
def ability_list(request: HttpRequest) -> HttpResponse:
    """GET `abilities`: the items of `GET /api/abilities` that Coze may use."""
    _authenticate(request, tool=lambda: "abilities")
    _require(request, "GET", "HEAD")
    return _json({"items": [abilities.ability_item(offer.ability) for offer in services.offers()]})


@door
def document(request: HttpRequest, group: str = "") -> HttpResponse:
    """GET `openapi.json` and the filtered ones. Anonymous, also from another origin, where an operator allows that."""
    if request.method == "OPTIONS":
        return _allow_origin(request, HttpResponse(status=204))
    if not settings.COZE_DOCUMENT_ORIGINS:
        _authenticate(request, tool=lambda: "openapi.json")
    _require(request, "GET", "HEAD")
    provider = naming.GROUPS[group][0] if group in naming.GROUPS else group
    offers = services.offers(provider=provider)
    if group and not offers and group not in naming.GROUPS and provider not in executors.provider_kinds():
        raise NotFound()
    found = openapi.document(offers, server=addressing.server_url(request), group=group)
    text = json.dumps(found, ensure_ascii=False, indent=1).encode()
    tag = f'"{hashlib.sha256(text).hexdigest()[:24]}"'
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    if request.headers.get("If-None-Match") == tag:
        response = HttpResponse(status=304)
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "no-cache"
    return _allow_origin(request, response)


def _run(request: HttpRequest, ability: Ability, body: Mapping[str, Any]) -> HttpResponse | Waiting:
    """Prepare and create like every other door; a worker does it. A refusal is an answer too."""
    ignored: tuple[str, ...] = ()
    try:
        call = translate.read_call(ability, body, request.headers)
        ignored = call.unknown
        prepared = abilities.prepare(ability.pk, call)
        metadata = {**call.metadata, "expectedImageCount": translate.expected_images(prepared)}
        prepared = dataclasses.replace(prepared, call=dataclasses.replace(call, metadata=metadata))
        created = abilities.create_task(ensure_service_user(), prepared, source=Task.Source.COZE)
    except PodiError as error:
        return _refuse(request, error, ignored=ignored)
    if translate.is_async(ability):
        return _json(answers.submitted(created.task))
    return Waiting(task=created.task, seconds=settings.COZE_WAIT_S)


def _finish(waited: Waiting) -> HttpResponse:
    waited.task.refresh_from_db()
    return _json(answers.of_task(waited.task, as_id=waited.as_id))


def _guarded(begin: Begin, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | Waiting:
    try:
        return begin(request, *args, **kwargs)
    except PodiError as error:
        response = envelope.answer(error, request=request)
        return _allow_origin(request, response) if request.path.endswith("/openapi.json") else response


def _authenticate(request: HttpRequest, *, tool: Callable[[], str]) -> Caller:
    """Raises InternalOnly, and keeps it for the operator."""
    try:
        return authenticate(request)
    except InternalOnly as error:
        _note(request, error, tool=tool())
        raise


def _note(request: HttpRequest, error: PodiError, *, tool: str) -> None:
    services.note_refusal(
        address=client_address(request.META),
        code=error.code,
        tool=tool,
        reason=str(error.text),
        headers=request.headers,
        request_id=read_request_id(request),
    )


def _known_tool(provider: str, capability_key: str) -> str:
    """So that guessing names does not fill the table."""
    is_known = Ability.objects.filter(provider=provider, capability_key=capability_key).exists()
    return f"{provider}/{capability_key}" if is_known else UNKNOWN_TOOL


def _require(request: HttpRequest, *methods: str) -> None:
    if request.method not in methods:
        raise MethodNotAllowed()


def _read_body(request: HttpRequest) -> dict[str, Any]:
    """A JSON object; no body at all is an empty one. Raises MalformedJson."""
    raw = request.body
    body = parse_json(raw) if raw.strip() else {}
    if not isinstance(body, dict):
        raise MalformedJson()
    return body


def _read_ids(value: Any) -> list[str]:
    """A list, or text with commas."""
    parts = value.replace(";", ",").split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return list(dict.fromkeys(part.strip() for part in map(str, parts) if part.strip()))[:MAX_EXECUTORS]


def _find_task(task_id: str) -> Task:
    """A task of the service user: this door shows nobody else's. Raises TaskNotFound."""
    owner: User = ensure_service_user()
    task = abilities.find_task(owner, task_id[:MAX_TASK_ID_CHARS])
    if task.owner_id != owner.pk:
        raise TaskNotFound()
    return task


def _refuse(request: HttpRequest, error: PodiError, *, ignored: tuple[str, ...] = ()) -> HttpResponse:
    return _json(answers.refused(error, request_id=read_request_id(request), ignored=ignored))


def _json(body: Mapping[str, Any]) -> JsonResponse:
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


def _allow_origin(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """CORS for reading, never with credentials. A private address needs Chrome's further permission."""
    allowed = settings.COZE_DOCUMENT_ORIGINS
    origin = request.headers.get("Origin", "")
    response.headers["Vary"] = "Origin"
    if "*" in allowed or (origin and origin in allowed):
        response.headers["Access-Control-Allow-Origin"] = "*" if "*" in allowed else origin
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Accept, Content-Type, If-None-Match"
            response.headers["Access-Control-Allow-Private-Network"] = "true"
            response.headers["Access-Control-Max-Age"] = "600"
    return response
