"""`/api/draft`: JianYing drafts under the addresses and names their callers know. A draft is a task like any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities import results, services
from abilities.api import answers
from abilities.api.documents import DraftAcceptedDocument, DraftListDocument, DraftStatusDocument
from abilities.models import Task
from abilities.services.drafts import (
    DRAFT_ABILITY_ID,
    Draft,
    completed_drafts,
    draft_of,
    drafts_in,
    find_draft,
    materials_of,
)
from podi.base.api import envelope
from podi.base.api.pagination import MAX_OFFSET, read_int
from podi.base.api.permissions import HasScope, caller
from podi.base.errors import InvalidInput

DraftAccess = HasScope.of("tasks:read", write="tasks:write")
_STATUS = {
    Task.State.QUEUED: "pending",
    Task.State.RUNNING: "processing",
    Task.State.SUCCEEDED: "completed",
    Task.State.FAILED: "failed",
    Task.State.CANCELLED: "failed",
}


class DraftCallSerializer(serializers.Serializer[Any]):
    content = serializers.JSONField(help_text="The exported draft: its JSON as a text, or as an object.")
    timeUnit = serializers.ChoiceField(choices=("us", "ms"), required=False, help_text="Of all its times; us.")
    time_unit = serializers.ChoiceField(choices=("us", "ms"), required=False, help_text="The same.")
    output_folder = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, help_text="Refused: the draft is downloaded."
    )
    callbackUrl = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=512)
    callbackHeaders = serializers.DictField(child=serializers.CharField(), required=False, allow_null=True)
    metadata = serializers.DictField(required=False, allow_null=True)
    deadlineSeconds = serializers.IntegerField(required=False, allow_null=True)
    priority = serializers.IntegerField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        found = super().to_internal_value(data)
        found["unknown"] = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        return found

    def to_call(self) -> services.Call:
        data = self.validated_data
        if data.get("output_folder"):
            raise InvalidInput(fields={"output_folder": _("PODI writes no folders from outside; download the draft.")})
        content = data["content"]
        if not content:
            raise InvalidInput(fields={"content": _("This field is required.")})
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return services.Call(
            inputs={"content": text, "time_unit": data.get("timeUnit") or data.get("time_unit") or "us"},
            metadata=data.get("metadata") or {},
            callback_url=data.get("callbackUrl") or "",
            callback_headers=data.get("callbackHeaders") or {},
            deadline_s=data.get("deadlineSeconds"),
            priority=data.get("priority") or 0,
            unknown=tuple(data["unknown"]),
        )


class DraftGenerateView(APIView):
    """Check an exported draft and have it made. The answer names the drafts; `status` tells when they are there."""

    permission_classes = (DraftAccess,)

    @extend_schema(request=DraftCallSerializer, responses={201: DraftAcceptedDocument}, tags=["drafts"])
    def post(self, request: Request) -> Response:
        user, access = caller(request)
        once = answers.read_once(request)
        task = services.repeated_task(user, once)
        if task is None:
            body = answers.read_body(DraftCallSerializer, request)
            prepared = services.prepare(DRAFT_ABILITY_ID, body.to_call())
            created = services.create_task(user, prepared, source=Task.Source.TASK, token=access.token, once=once)
            task = created.task
        drafts = drafts_in(task)
        answer = {
            "status": "success",
            "message": _("Accepted: %(count)d draft(s). Ask for their status.") % {"count": len(drafts)},
            "draft_count": len(drafts),
            "drafts": [_entry(draft) | {"status": _STATUS[Task.State(task.state)]} for draft in drafts],
            "timestamp": results.iso(timezone.now()),
            "taskId": results.public_id(task),
            "ignoredInputs": task.request.get("ignoredInputs") or [],
        }
        return Response(answer, status=201, headers={"Location": f"/api/draft/status/{drafts[0].id}"})

    def handle_exception(self, exc: Exception) -> Response:
        error = envelope.translate(exc)
        if not isinstance(error, InvalidInput):
            return super().handle_exception(exc)
        error.status = 400  # type: ignore[misc]  # what callers of this address expect
        return super().handle_exception(error)


class DraftStatusView(APIView):
    """One draft: how far it is, and where to download it."""

    permission_classes = (DraftAccess,)

    @extend_schema(responses=DraftStatusDocument, tags=["drafts"])
    def get(self, request: Request, draft_id: str) -> Response:
        draft = find_draft(caller(request)[0], draft_id)
        headers = {} if draft.task.is_terminal else {"Retry-After": "1"}
        return Response(_status(draft), headers=headers)


class DraftListView(APIView):
    """One's own finished drafts, newest first."""

    permission_classes = (DraftAccess,)

    @extend_schema(
        parameters=[OpenApiParameter("skip", int, default=0), OpenApiParameter("limit", int, default=100)],
        responses=DraftListDocument,
        tags=["drafts"],
    )
    def get(self, request: Request) -> Response:
        skip = read_int(request, "skip", default=0, minimum=0, maximum=MAX_OFFSET)
        limit = read_int(request, "limit", default=100, minimum=1, maximum=200)
        rows = completed_drafts(caller(request)[0])
        drafts = [draft_of(row) for row in rows[skip : skip + limit]]
        entries = [
            _entry(draft) | {"created_at": results.iso(draft.task.created_at), "downloadUrl": _download_url(draft)}
            for draft in drafts
        ]
        return Response({"total": rows.count(), "drafts": entries})


def _entry(draft: Draft) -> dict[str, Any]:
    name = draft.summary.get("name") or ("" if draft.task.result else draft.facts.get("name", ""))
    return {"draft_id": draft.id, "project_name": name, "folder_path": draft.summary.get("folder", "")}


def _status(draft: Draft) -> dict[str, Any]:
    """Nothing is null: Coze's strict reading of an answer does not take it."""
    task = draft.task
    materials = materials_of(task)
    failed = task.state in (Task.State.FAILED, Task.State.CANCELLED)
    answer = _entry(draft) | {
        "status": _STATUS[Task.State(task.state)],
        "created_at": results.iso(task.created_at),
        "error_message": (task.error_message or task.error_code) if failed else "",
        "taskId": results.public_id(task),
        "progress": round(task.progress, 4),
        "materials": {"total": materials.total, "fetched": materials.fetched},
        "durationUs": draft.summary.get("durationUs") or draft.facts.get("durationUs") or 0,
        "downloadUrl": _download_url(draft),
        "warnings": draft.summary.get("warnings") or [],
    }
    if failed:
        answer["error"] = {"code": task.error_code, "message": task.error_message, "retryable": task.is_error_retryable}
    if not task.is_terminal:
        answer["pollAfterMs"] = results.poll_after_ms(task)
    return answer


def _download_url(draft: Draft) -> str:
    return str(results.asset_entry(draft.file)["ossUrl"]) if draft.file else ""
