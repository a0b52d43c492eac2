"""Staff endpoints for executors and for our API keys at providers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from executors.api.serializers import (
    ApiKeyCreate,
    ApiKeyRow,
    ApiKeyUpdate,
    DeletedAnswer,
    ExecutorCreate,
    ExecutorRow,
    ExecutorUpdate,
    HealthAnswer,
)
from executors.services import api_keys, fleet
from podi.base.api.once import create_once
from podi.base.api.permissions import IsOperator, caller
from podi.base.api.serializers import ErrorSerializer, StrictSerializer
from podi.base.phrases import tell

REFUSALS = {code: OpenApiResponse(ErrorSerializer) for code in (400, 401, 403, 404, 409, 422)}
DELETED = {"status": "deleted"}


def read_body(serializer: type[StrictSerializer], request: Request, *, partial: bool = False) -> Any:
    """The checked fields of a request. With `partial` only those that were sent."""
    sent = serializer(data=request.data, partial=partial)
    sent.is_valid(raise_exception=True)
    return dict(sent.validated_data)


class ExecutorsView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], operation_id="executors_list", responses={200: ExecutorRow(many=True), **REFUSALS})
    def get(self, request: Request) -> Response:
        return Response(ExecutorRow(fleet.list_executors(), many=True).data)

    @extend_schema(tags=["admin"], request=ExecutorCreate, responses={200: ExecutorRow, **REFUSALS})
    def post(self, request: Request) -> Response:
        values = read_body(ExecutorCreate, request)
        actor, _access = caller(request)
        executor_id = values.pop("id", "")
        row = create_once(
            request,
            actor,
            create=lambda: fleet.create_executor(actor, values, executor_id=executor_id),
            find=fleet.find_executor,
        )
        return Response(ExecutorRow(row).data)


class ExecutorView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], operation_id="executors_read", responses={200: ExecutorRow, **REFUSALS})
    def get(self, request: Request, executor_id: str) -> Response:
        return Response(ExecutorRow(fleet.find_executor(executor_id)).data)

    @extend_schema(tags=["admin"], request=ExecutorUpdate, responses={200: ExecutorRow, **REFUSALS})
    def put(self, request: Request, executor_id: str) -> Response:
        row = fleet.find_executor(executor_id)
        values = read_body(ExecutorUpdate, request, partial=True)
        return Response(ExecutorRow(fleet.update_executor(caller(request)[0], row, values)).data)

    @extend_schema(tags=["admin"], responses={200: DeletedAnswer, **REFUSALS})
    def delete(self, request: Request, executor_id: str) -> Response:
        fleet.delete_executor(caller(request)[0], fleet.find_executor(executor_id))
        return Response(DELETED)


class ExecutorTestView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(
        tags=["admin"],
        request=None,
        responses={200: HealthAnswer, **REFUSALS},
        description="Probes the executor now. An executor that is down is an answer, not an error.",
    )
    def post(self, request: Request, executor_id: str) -> Response:
        health = fleet.test_connection(caller(request)[0], fleet.find_executor(executor_id))
        facts = {
            "executor_id": executor_id,
            "is_up": health.is_up,
            "message": tell(health.message),
            "version": health.version,
            "latency_ms": health.latency_ms,
            "queue_running": health.queue_running,
            "queue_pending": health.queue_pending,
        }
        return Response(HealthAnswer(facts).data)


class ExecutorDrainView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], request=None, responses={200: ExecutorRow, **REFUSALS})
    def post(self, request: Request, executor_id: str) -> Response:
        fleet.drain(caller(request)[0], fleet.find_executor(executor_id))
        return Response(ExecutorRow(fleet.find_executor(executor_id)).data)


class ExecutorResumeView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], request=None, responses={200: ExecutorRow, **REFUSALS})
    def post(self, request: Request, executor_id: str) -> Response:
        fleet.resume(caller(request)[0], fleet.find_executor(executor_id))
        return Response(ExecutorRow(fleet.find_executor(executor_id)).data)


class ApiKeysView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], operation_id="api_keys_list", responses={200: ApiKeyRow(many=True), **REFUSALS})
    def get(self, request: Request) -> Response:
        return Response(ApiKeyRow(api_keys.list_api_keys(), many=True).data)

    @extend_schema(tags=["admin"], request=ApiKeyCreate, responses={200: ApiKeyRow, **REFUSALS})
    def post(self, request: Request) -> Response:
        values = read_body(ApiKeyCreate, request)
        actor, _access = caller(request)
        key_id = values.pop("id", "")
        row = create_once(
            request,
            actor,
            create=lambda: api_keys.create_api_key(actor, values, key_id=key_id),
            find=api_keys.find_api_key,
        )
        return Response(ApiKeyRow(row).data)


class ApiKeyView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], request=ApiKeyUpdate, responses={200: ApiKeyRow, **REFUSALS})
    def put(self, request: Request, key_id: str) -> Response:
        row = api_keys.find_api_key(key_id)
        values = read_body(ApiKeyUpdate, request, partial=True)
        return Response(ApiKeyRow(api_keys.update_api_key(caller(request)[0], row, values)).data)

    @extend_schema(tags=["admin"], responses={200: DeletedAnswer, **REFUSALS})
    def delete(self, request: Request, key_id: str) -> Response:
        api_keys.delete_api_key(caller(request)[0], api_keys.find_api_key(key_id))
        return Response(DELETED)
