"""The wire forms of abilities and tasks. Contract words live here and in `abilities.results`, nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from abilities.listing import ability_item, public_metadata
from abilities.models import Ability
from abilities.services import Call

MAX_IMAGES = 20

__all__ = [
    "CallSerializer",
    "PictureSerializer",
    "TaskCallSerializer",
    "ability_item",
    "option_item",
    "public_metadata",
]


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
