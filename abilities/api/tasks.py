"""`/api/ability-tasks`: the same calls, in the background."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities import errors, results, services
from abilities.api import answers
from abilities.api.documents import TaskDocument, TaskEventsDocument, TaskListDocument
from abilities.api.serializers import TaskCallSerializer
from abilities.api.waiting import WaitFor
from abilities.models import Task
from podi.base.api.pagination import read_window
from podi.base.api.permissions import HasScope, caller
from podi.base.errors import InvalidInput
from podi.events import services as events

TaskAccess = HasScope.of("tasks:read", write="tasks:write")


class TaskListView(APIView):
    """Create a task, or list one's own, newest first; operators see all."""

    permission_classes = (TaskAccess,)

    @extend_schema(request=TaskCallSerializer, responses=TaskDocument, tags=["ability tasks"])
    def post(self, request: Request) -> Response:
        user, access = caller(request)
        body = answers.read_body(TaskCallSerializer, request)
        once = answers.read_once(request)
        if (repeated := services.repeated_task(user, once)) is not None:
            return Response(_shown(request, repeated))
        try:
            prepared = services.prepare(body.validated_data["abilityId"], body.to_call())
        except (errors.AbilityNotFound, errors.AbilityInactive):
            raise errors.AbilityNotFoundOrInactive() from None
        if answers.is_dry_run(request, body):
            return Response(answers.dry_run(prepared))
        created = services.create_task(user, prepared, source=Task.Source.TASK, token=access.token, once=once)
        return _waiting(request, created.task, wait_s=answers.wait_s(request, body, default=0))

    @extend_schema(
        parameters=[
            OpenApiParameter("limit", int, default=20),
            OpenApiParameter("offset", int, default=0),
            OpenApiParameter("status", str, enum=list(Task.State.values)),
            OpenApiParameter("abilityId", str),
        ],
        responses=TaskListDocument,
        tags=["ability tasks"],
    )
    def get(self, request: Request) -> Response:
        user, _access = caller(request)
        query = request.query_params
        window = read_window(request, default=20, maximum=200)
        tasks = services.tasks_of(user)
        if state := query.get("status"):
            if state not in Task.State.values:
                raise InvalidInput(fields={"status": ", ".join(Task.State.values)})
            tasks = tasks.filter(state=state)
        if ability_id := query.get("abilityId"):
            tasks = tasks.filter(ability_id=ability_id)
        rows = list(tasks[window.slice])
        log_ids = services.log_ids_of(rows)
        return Response({"items": [results.task_response(row, log_id=log_ids.get(row.pk)) for row in rows]})


class TaskDetailView(APIView):
    """One task; `wait` holds the answer until it ended, at most so many seconds."""

    permission_classes = (TaskAccess,)

    @extend_schema(
        parameters=[OpenApiParameter("wait", float, description="Seconds to wait for the end.")],
        responses=TaskDocument,
        tags=["ability tasks"],
    )
    def get(self, request: Request, task_id: str) -> Response:
        task = services.find_task(caller(request)[0], task_id)
        return _waiting(request, task, wait_s=answers.wait_s(request, default=0))


class TaskCancelView(APIView):
    permission_classes = (TaskAccess,)

    @extend_schema(request=None, responses=TaskDocument, tags=["ability tasks"])
    def post(self, request: Request, task_id: str) -> Response:
        user, _access = caller(request)
        return Response(_shown(request, services.cancel_task(user, services.find_task(user, task_id))))


class TaskRetryView(APIView):
    """A new task with the same inputs; the old one stays as it is."""

    permission_classes = (TaskAccess,)

    @extend_schema(request=None, responses=TaskDocument, tags=["ability tasks"])
    def post(self, request: Request, task_id: str) -> Response:
        user, access = caller(request)
        once = answers.read_once(request)
        if (repeated := services.repeated_task(user, once)) is not None:
            return Response(_shown(request, repeated))
        task = services.find_task(user, task_id)
        created = services.retry_task(user, task, token=access.token, once=once)
        return Response(_shown(request, created.task))


class TaskEventsView(APIView):
    """What happened to a task, oldest first."""

    permission_classes = (TaskAccess,)

    @extend_schema(responses=TaskEventsDocument, tags=["ability tasks"])
    def get(self, request: Request, task_id: str) -> Response:
        task = services.find_task(caller(request)[0], task_id)
        rows = events.history(("task", task.pk)).order_by("id")[:500]
        items = [
            {"id": row.pk, "type": row.topic, "payload": row.payload, "createdAt": results.iso(row.created_at)}
            for row in rows
        ]
        return Response({"taskId": task.pk, "items": items})


def _waiting(request: Request, task: Task, *, wait_s: float) -> Response:
    if task.is_terminal or wait_s <= 0:
        return _response(request, task)

    def render() -> Response:
        task.refresh_from_db()
        return _response(request, task)

    return Response(WaitFor(task_id=task.pk, seconds=wait_s, render=answers.guarded(request, render)))


def _response(request: Request, task: Task) -> Response:
    headers = {} if task.is_terminal else {"Retry-After": "1"}
    return Response(_shown(request, task), headers=headers)


def _shown(request: Request, task: Task) -> dict[str, Any]:
    shown = results.task_response(task, log_id=services.log_id_of(task), with_raw=request.user.is_staff)
    return shown | answers.place(task)
