"""`/api/admin/abilities`: operators keep the catalogue (contract 1.12, snake_case, bare arrays, partial PUT)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from abilities import errors, results, services
from abilities.api.answers import read_body
from abilities.api.serializers import option_item
from abilities.models import Ability
from podi.base.api.once import create_once
from podi.base.api.permissions import IsOperator, caller


class AbilityChangeSerializer(serializers.Serializer[Any]):
    """What may be sent; on PUT only the keys that are sent change."""

    provider = serializers.CharField(max_length=64)
    category = serializers.CharField(max_length=64)
    capability_key = serializers.RegexField(r"^[A-Za-z0-9_.-]+$", max_length=64)
    display_name = serializers.CharField(max_length=128)
    version = serializers.CharField(max_length=32, required=False)
    description = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    status = serializers.ChoiceField(Ability.Status.choices, required=False)
    ability_type = serializers.ChoiceField(Ability.Type.choices, required=False)
    executor_id = serializers.CharField(max_length=64, required=False, allow_null=True)
    workflow_id = serializers.CharField(max_length=64, required=False, allow_null=True)
    coze_workflow_id = serializers.CharField(max_length=64, required=False, allow_null=True, allow_blank=True)
    default_params = serializers.DictField(required=False, allow_null=True)
    input_schema = serializers.DictField(required=False, allow_null=True)
    metadata = serializers.DictField(required=False, allow_null=True)


class AbilityCreateSerializer(AbilityChangeSerializer):
    id = serializers.RegexField(r"^[A-Za-z0-9_-]+$", max_length=64, required=False)


class AbilityDefinitionsView(APIView):
    permission_classes = (IsOperator,)

    @extend_schema(tags=["admin: abilities"], responses=AbilityCreateSerializer(many=True))
    def get(self, request: Request) -> Response:
        found = Ability.objects.order_by("provider", "capability_key")
        return Response([row_item(ability) for ability in found])

    @extend_schema(tags=["admin: abilities"], request=AbilityCreateSerializer, responses=AbilityCreateSerializer)
    def post(self, request: Request) -> Response:
        fields = dict(read_body(AbilityCreateSerializer, request).validated_data)
        ability_id = fields.pop("id", "")
        actor = caller(request)[0]
        ability = create_once(
            request,
            actor,
            create=lambda: services.create_ability(actor, ability_id=ability_id, **fields),
            find=_find,
        )
        return Response(row_item(ability))


class AbilityDefinitionView(APIView):
    permission_classes = (IsOperator,)

    @extend_schema(tags=["admin: abilities"], request=AbilityChangeSerializer, responses=AbilityCreateSerializer)
    def put(self, request: Request, ability_id: str) -> Response:
        body = AbilityChangeSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        ability = services.update_ability(caller(request)[0], _find(ability_id), **body.validated_data)
        return Response(row_item(ability))

    @extend_schema(tags=["admin: abilities"], responses=dict)
    def delete(self, request: Request, ability_id: str) -> Response:
        services.delete_ability(caller(request)[0], _find(ability_id))
        return Response({"status": "deleted"})


class AbilityDefinitionOptionsView(APIView):
    permission_classes = (IsOperator,)

    @extend_schema(tags=["admin: abilities"], responses=dict)
    def get(self, request: Request) -> Response:
        found = Ability.objects.order_by("provider", "capability_key")
        status = request.query_params.get("status", "active")
        if status != "all":
            found = found.filter(status=status)
        if provider := request.query_params.get("provider"):
            found = found.filter(provider=provider)
        return Response({"items": [option_item(ability, is_public=False) for ability in found]})


def row_item(ability: Ability) -> dict[str, Any]:
    return {
        "id": ability.id,
        "provider": ability.provider,
        "category": ability.category,
        "capability_key": ability.capability_key,
        "version": ability.version,
        "display_name": ability.display_name,
        "description": ability.description or None,
        "status": ability.status,
        "ability_type": ability.ability_type,
        "executor_id": ability.executor_id,
        "workflow_id": ability.workflow_id,
        "coze_workflow_id": ability.coze_workflow_id or None,
        "default_params": ability.default_params or None,
        "input_schema": ability.input_schema or None,
        "metadata": ability.metadata or None,
        "last_health_check_at": results.iso(ability.last_health_check_at),
        "last_health_status": ability.last_health_status or None,
        "success_rate": ability.success_rate,
        "created_at": results.iso(ability.created_at),
        "updated_at": results.iso(ability.updated_at),
    }


def _find(ability_id: str) -> Ability:
    ability = Ability.objects.filter(pk=ability_id).first()
    if ability is None:
        raise errors.AbilityNotFound()
    return ability
