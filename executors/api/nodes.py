"""Staff endpoints that ask a ComfyUI node: models, queue, system (camelCase, contract 1.13)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from executors.api.serializers import ObjectField, UtcField
from executors.services import inspection
from podi.base.api.permissions import IsOperator
from podi.base.api.serializers import ErrorSerializer
from podi.base.errors import InvalidInput

_REFUSALS = {code: OpenApiResponse(ErrorSerializer) for code in (400, 401, 403, 404, 422, 502)}
_EXECUTOR_ID = OpenApiParameter("executorId", str, required=True)
_SHOWN_MODELS = ("unet", "clip", "vae", "lora")
_TRUE = frozenset({"1", "true", "yes", "on"})


class ModelsAnswer(serializers.Serializer[Any]):
    executorId = serializers.CharField()
    baseUrl = serializers.CharField()
    models = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    nodeKeys = serializers.ListField(child=serializers.CharField(), allow_null=True)
    nodeCount = serializers.IntegerField(allow_null=True)


class QueueAnswer(serializers.Serializer[Any]):
    executorId = serializers.CharField(source="executor_id")
    name = serializers.CharField()
    baseUrl = serializers.CharField(source="base_url")
    runningCount = serializers.IntegerField(source="running")
    pendingCount = serializers.IntegerField(source="pending")
    queueMaxSize = serializers.IntegerField(source="queue_max_size", allow_null=True)
    supported = serializers.BooleanField(source="is_supported")
    message = serializers.CharField(allow_blank=True)
    raw = serializers.JSONField(allow_null=True)


class SummaryAnswer(serializers.Serializer[Any]):
    totalRunning = serializers.IntegerField(source="running")
    totalPending = serializers.IntegerField(source="pending")
    totalCount = serializers.SerializerMethodField()
    timestamp = UtcField(source="asked_at")
    servers = QueueAnswer(many=True)

    def get_totalCount(self, summary: inspection.QueueSummary) -> int:
        return summary.running + summary.pending


class StatsAnswer(serializers.Serializer[Any]):
    executorId = serializers.CharField()
    baseUrl = serializers.CharField()
    system = ObjectField(allow_null=True)
    devices = serializers.ListField(child=ObjectField(), allow_null=True)
    raw = ObjectField()


class NodeModelsView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(
        tags=["admin"],
        parameters=[_EXECUTOR_ID, OpenApiParameter("includeNodes", bool)],
        responses={200: ModelsAnswer, **_REFUSALS},
    )
    def get(self, request: Request) -> Response:
        include_nodes = request.query_params.get("includeNodes", "").lower() in _TRUE
        found = inspection.read_models(_executor_id(request), include_nodes=include_nodes)
        keys = list(found.node_keys) if found.node_keys is not None else None
        body = {
            "executorId": found.executor_id,
            "baseUrl": found.base_url,
            "models": {kind: list(found.models.get(kind, ())) for kind in (*_SHOWN_MODELS, *found.models)},
            "nodeKeys": keys,
            "nodeCount": len(keys) if keys is not None else None,
        }
        return Response(ModelsAnswer(body).data)


class QueueStatusView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], parameters=[_EXECUTOR_ID], responses={200: QueueAnswer, **_REFUSALS})
    def get(self, request: Request) -> Response:
        return Response(QueueAnswer(inspection.read_queue(_executor_id(request))).data)


class QueueSummaryView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(
        tags=["admin"],
        parameters=[OpenApiParameter("executorIds", str, many=True, description="Else all active nodes.")],
        responses={200: SummaryAnswer, **_REFUSALS},
    )
    def get(self, request: Request) -> Response:
        summary = inspection.summarise_queues(request.query_params.getlist("executorIds"))
        return Response(SummaryAnswer(summary).data)


class SystemStatsView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], parameters=[_EXECUTOR_ID], responses={200: StatsAnswer, **_REFUSALS})
    def get(self, request: Request) -> Response:
        found = inspection.read_stats(_executor_id(request))
        body = {
            "executorId": found.executor_id,
            "baseUrl": found.base_url,
            "system": found.stats.get("system"),
            "devices": found.stats.get("devices"),
            "raw": found.stats,
        }
        return Response(StatsAnswer(body).data)


def _executor_id(request: Request) -> str:
    executor_id: str = request.query_params.get("executorId", "")
    if not executor_id:
        raise InvalidInput(fields={"executorId": _("Name the executor.")})
    return executor_id
