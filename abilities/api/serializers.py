"""The wire forms of abilities and tasks. Contract words live here and in `abilities.results`, nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from abilities import schema
from abilities.models import Ability
from abilities.results import iso
from abilities.services import Call

MAX_IMAGES = 20


class PictureSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(required=False, max_length=256)
    url = serializers.CharField(required=False)
    ossUrl = serializers.CharField(required=False)
    base64 = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not any(attrs.get(key) for key in ("ossUrl", "url", "base64")):
            raise serializers.ValidationError(_("Send `url`, `ossUrl` or `base64`."))
        return attrs


class CallSerializer(serializers.Serializer[Any]):
    """The body of invoke (contract 1.9) with what PODI adds."""

    executorId = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=64)
    inputs = serializers.DictField(required=False, allow_null=True)
    imageUrl = serializers.CharField(required=False, allow_blank=True, allow_null=True)
    imageBase64 = serializers.CharField(required=False, allow_blank=True, allow_null=True)
    images = serializers.ListField(child=PictureSerializer(), required=False, allow_null=True, max_length=MAX_IMAGES)
    metadata = serializers.DictField(required=False, allow_null=True)
    callbackUrl = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=512)
    callbackHeaders = serializers.DictField(child=serializers.CharField(), required=False, allow_null=True)
    version = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=32)
    deadlineSeconds = serializers.IntegerField(required=False, allow_null=True)
    priority = serializers.IntegerField(required=False, allow_null=True)
    wait = serializers.FloatField(required=False, allow_null=True, min_value=0)
    dryRun = serializers.BooleanField(required=False, default=False)

    def to_internal_value(self, data: Any) -> Any:
        found = super().to_internal_value(data)
        found["unknown"] = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        return found

    def to_call(self) -> Call:
        data = self.validated_data
        pictures = [data.get("imageUrl"), data.get("imageBase64")]
        pictures += [p.get("ossUrl") or p.get("url") or p.get("base64") for p in data.get("images") or []]
        return Call(
            inputs=data.get("inputs") or {},
            pictures=tuple(picture for picture in pictures if picture),
            executor_id=data.get("executorId") or "",
            metadata=data.get("metadata") or {},
            callback_url=data.get("callbackUrl") or "",
            callback_headers=data.get("callbackHeaders") or {},
            version=data.get("version") or "",
            deadline_s=data.get("deadlineSeconds"),
            priority=data.get("priority") or 0,
            unknown=tuple(data.get("unknown") or ()),
        )


class TaskCallSerializer(CallSerializer):
    abilityId = serializers.CharField(max_length=64)


def ability_item(ability: Ability) -> dict[str, Any]:
    """One item of `GET /api/abilities` (contract 1.9, camelCase)."""
    metadata = ability.metadata or {}
    most = metadata.get("max_output_images")
    most = most if isinstance(most, int) and not isinstance(most, bool) else None
    return {
        "id": ability.id,
        "provider": ability.provider,
        "category": ability.category,
        "capabilityKey": ability.capability_key,
        "version": ability.version,
        "displayName": ability.display_name,
        "description": ability.description or None,
        "status": ability.status,
        "abilityType": ability.ability_type,
        "workflowId": ability.workflow_id,
        "executorId": ability.executor_id,
        "cozeWorkflowId": ability.coze_workflow_id or None,
        "defaultParams": ability.default_params or None,
        "inputSchema": ability.input_schema or None,
        "jsonSchema": schema.json_schema(ability.input_schema),
        "metadata": public_metadata(metadata) or None,
        "requiresImage": bool(metadata.get("requires_image_input")),
        "supportsMultipleImages": bool(metadata.get("supports_multiple_outputs")) or (most or 0) > 1,
        "maxOutputImages": most,
        "lastHealthCheckAt": iso(ability.last_health_check_at),
        "lastHealthStatus": ability.last_health_status or None,
        "successRate": ability.success_rate,
    }


_ROUTING_KEYS = frozenset({"allowed_executor_ids", "required_tags", "routing_policy", "fallback_to_default"})


def public_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What of the metadata callers may see: not how calls are routed, nor to which nodes."""
    return {key: value for key, value in metadata.items() if key not in _ROUTING_KEYS}


def option_item(ability: Ability, *, is_public: bool) -> dict[str, Any]:
    """One item of `/options` (snake_case); the public variant leaves `version` and `coze_workflow_id` null."""
    return {
        "id": ability.id,
        "provider": ability.provider,
        "category": ability.category,
        "capability_key": ability.capability_key,
        "version": None if is_public else ability.version,
        "display_name": ability.display_name,
        "description": ability.description or None,
        "default_params": ability.default_params or None,
        "input_schema": ability.input_schema or None,
        "metadata": public_metadata(ability.metadata or {}) if is_public else ability.metadata,
        "coze_workflow_id": None if is_public else ability.coze_workflow_id or None,
    }
