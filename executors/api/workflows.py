"""Staff endpoints for workflows, their revisions, and bindings."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from executors.api.executors import DELETED, REFUSALS, read_body
from executors.api.serializers import (
    BindingCreate,
    BindingRow,
    BindingUpdate,
    DeletedAnswer,
    RevisionRow,
    WorkflowCreate,
    WorkflowRow,
    WorkflowUpdate,
)
from executors.services import workflows
from podi.base.api.once import create_once
from podi.base.api.permissions import IsOperator, caller


class WorkflowsView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], operation_id="workflows_list", responses={200: WorkflowRow(many=True), **REFUSALS})
    def get(self, request: Request) -> Response:
        return Response(WorkflowRow(workflows.list_workflows(), many=True).data)

    @extend_schema(tags=["admin"], request=WorkflowCreate, responses={200: WorkflowRow, **REFUSALS})
    def post(self, request: Request) -> Response:
        values = read_body(WorkflowCreate, request)
        actor, _access = caller(request)
        workflow_id = values.pop("id", "")
        row = create_once(
            request,
            actor,
            create=lambda: workflows.create_workflow(actor, values, workflow_id=workflow_id),
            find=workflows.find_workflow,
        )
        return Response(WorkflowRow(row).data)


class WorkflowView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], operation_id="workflows_read", responses={200: WorkflowRow, **REFUSALS})
    def get(self, request: Request, workflow_id: str) -> Response:
        return Response(WorkflowRow(workflows.find_workflow(workflow_id)).data)

    @extend_schema(tags=["admin"], request=WorkflowUpdate, responses={200: WorkflowRow, **REFUSALS})
    def put(self, request: Request, workflow_id: str) -> Response:
        row = workflows.find_workflow(workflow_id)
        values = read_body(WorkflowUpdate, request, partial=True)
        return Response(WorkflowRow(workflows.update_workflow(caller(request)[0], row, values)).data)

    @extend_schema(tags=["admin"], responses={200: DeletedAnswer, **REFUSALS})
    def delete(self, request: Request, workflow_id: str) -> Response:
        workflows.delete_workflow(caller(request)[0], workflows.find_workflow(workflow_id))
        return Response(DELETED)


class WorkflowRevisionsView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], responses={200: RevisionRow(many=True), **REFUSALS})
    def get(self, request: Request, workflow_id: str) -> Response:
        rows = workflows.find_workflow(workflow_id).revisions.select_related("created_by")[:50]
        return Response(RevisionRow(rows, many=True).data)


class BindingsView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], operation_id="bindings_list", responses={200: BindingRow(many=True), **REFUSALS})
    def get(self, request: Request) -> Response:
        return Response(BindingRow(workflows.list_bindings(), many=True).data)

    @extend_schema(tags=["admin"], request=BindingCreate, responses={200: BindingRow, **REFUSALS})
    def post(self, request: Request) -> Response:
        values = read_body(BindingCreate, request)
        actor, _access = caller(request)
        binding_id = values.pop("id", "")
        row = create_once(
            request,
            actor,
            create=lambda: workflows.create_binding(actor, values, binding_id=binding_id),
            find=workflows.find_binding,
        )
        return Response(BindingRow(row).data)


class BindingView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], request=BindingUpdate, responses={200: BindingRow, **REFUSALS})
    def put(self, request: Request, binding_id: str) -> Response:
        row = workflows.find_binding(binding_id)
        values = read_body(BindingUpdate, request, partial=True)
        return Response(BindingRow(workflows.update_binding(caller(request)[0], row, values)).data)

    @extend_schema(tags=["admin"], responses={200: DeletedAnswer, **REFUSALS})
    def delete(self, request: Request, binding_id: str) -> Response:
        workflows.delete_binding(caller(request)[0], workflows.find_binding(binding_id))
        return Response(DELETED)
