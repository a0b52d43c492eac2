"""`/api/abilities`: what is offered, and calling it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
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
    def get(self, request: Request) -> Response:
        items = [ability_item(ability) for ability in services.active_abilities()]
        etag = '"' + hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()[:32] + '"'
        if _is_known(etag, request.headers.get("If-None-Match", "")):
            return Response(status=304, headers={"ETag": etag})
        return Response({"items": items}, headers={"ETag": etag, "Cache-Control": "no-cache"})


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
