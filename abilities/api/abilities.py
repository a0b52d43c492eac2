"""`/api/abilities`: what is offered, and calling it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities import errors, runner, services
from abilities.api import answers
from abilities.api.documents import AbilityListDocument, InvokeDocument, OneAbilityDocument
from abilities.api.serializers import CallSerializer, ability_item, option_item
from abilities.api.waiting import WaitFor
from abilities.models import Ability, Task
from podi.base.api.permissions import HasScope, caller


class AbilityListView(APIView):
    """Every active ability, ordered by provider and key. Answers 304 to a matching ETag."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(responses=AbilityListDocument, tags=["abilities"], auth=[])
    def get(self, request: Request) -> HttpResponse:
        listed = _listed()
        headers = {"ETag": listed.etag, "Cache-Control": "no-cache"}
        if _is_known(listed.etag, request.headers.get("If-None-Match", "")):
            return HttpResponse(status=304, headers=headers)
        return HttpResponse(listed.body, content_type="application/json", headers=headers)


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """The list as it is sent, and by which rows it was made."""

    rows: tuple[Any, ...]
    etag: str
    body: bytes


_last: _Listed | None = None


def _listed() -> _Listed:
    """The list, made anew only when a row has changed since this process made it. One small query."""
    global _last
    abilities = services.active_abilities()
    rows = tuple(abilities.values_list(*_CHANGING))
    last = _last
    if last is None or last.rows != rows:
        items = [ability_item(ability) for ability in abilities]
        body = JSONRenderer().render({"items": items})
        last = _last = _Listed(rows=rows, etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"', body=body)
    return last


_CHANGING = (
    *("id", "updated_at", "executor_id", "workflow_id"),
    *("last_health_check_at", "last_health_status", "success_rate"),
)
"""`updated_at` moves with every saved change; the others are also written past it, by deletes and upkeep."""


def _is_known(etag: str, if_none_match: str) -> bool:
    """Weak comparison: a proxy that compresses makes `W/"..."` of our tag."""
    known = parse_etags(if_none_match)
    return "*" in known or etag in {tag.removeprefix("W/") for tag in known}


class AbilityOptionsView(APIView):
    """A short list for drop-downs."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        parameters=[OpenApiParameter("status", str, default="active"), OpenApiParameter("provider", str)],
        responses=dict,
        tags=["abilities"],
        auth=[],
    )
    def get(self, request: Request) -> Response:
        found = services.active_abilities()
        if provider := request.query_params.get("provider"):
            found = found.filter(provider=provider)
        if request.query_params.get("status", "active") != "active":
            found = Ability.objects.none()
        return Response({"items": [option_item(ability, is_public=True) for ability in found]})


class AbilityDetailView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        parameters=[OpenApiParameter("version", str, description="A pinned version.")],
        responses=OneAbilityDocument,
        tags=["abilities"],
        auth=[],
    )
    def get(self, request: Request, ability_id: str) -> Response:
        ability = services.find_ability(ability_id, version=request.query_params.get("version", ""))
        if ability.status != Ability.Status.ACTIVE:
            raise errors.AbilityNotFound()
        item = ability_item(ability)
        item["versions"] = list(ability.versions.values_list("version", flat=True))
        return Response(item)


_senders = threading.BoundedSemaphore(max(1, settings.INVOKE_THREADS // 2))


@contextmanager
def _may_send(prepared: services.Prepared) -> Iterator[bool]:
    """Whether this request sends the work itself. Half of the threads at most do so over the network: the others stay
    free for other callers when a service takes connections and does not answer. Else a worker sends."""
    if not prepared.provider.is_quick or prepared.provider.runs_here:
        yield prepared.provider.is_quick
        return
    is_free = _senders.acquire(blocking=False)
    try:
        yield is_free
    finally:
        if is_free:
            _senders.release()


class InvokeView(APIView):
    """Call an ability and wait for the result, at most `wait` seconds; past it, a running task is handed over."""

    permission_classes = (HasScope.of("abilities:invoke"),)

    @extend_schema(request=CallSerializer, responses=InvokeDocument, tags=["abilities"])
    def post(self, request: Request, ability_id: str) -> Response:
        user, access = caller(request)
        body = answers.read_body(CallSerializer, request)
        once = answers.read_once(request)
        if (repeated := services.repeated_task(user, once)) is not None:
            return self._answer(request, repeated, wait_s=answers.wait_s(request, body))
        prepared = services.prepare(ability_id, body.to_call())
        if answers.is_dry_run(request, body):
            return Response(answers.dry_run(prepared))
        log_id = None
        with _may_send(prepared) as start:
            created = services.create_task(
                user, prepared, source=Task.Source.API, token=access.token, once=once, start=start
            )
            if created.invocation is not None:
                runner.run(created.task, created.invocation)
                log_id = created.invocation.pk
        return self._answer(request, created.task, wait_s=answers.wait_s(request, body), log_id=log_id)

    def _answer(self, request: Request, task: Task, *, wait_s: float, log_id: int | None = None) -> Response:
        if task.is_terminal or wait_s <= 0:
            return answers.invoked(request, task, log_id=log_id)

        def render() -> Response:
            task.refresh_from_db()
            return answers.invoked(request, task)

        return Response(WaitFor(task_id=task.pk, seconds=wait_s, render=answers.guarded(request, render)))
