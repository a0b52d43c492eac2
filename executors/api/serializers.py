"""What goes over the wire for executors, workflows, bindings and API keys: the contract's names, no secret ever."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from executors import parameters
from executors.models import ApiKey, Executor, Status, Workflow, WorkflowBinding, WorkflowRevision
from executors.services.connections import base_url_of
from podi.base.api.serializers import StrictSerializer
from podi.base.phrases import tell

_OBJECT = {"type": "object", "additionalProperties": True}


@extend_schema_field(_OBJECT)
class ObjectField(serializers.JSONField):
    """A JSON object; lists and plain values are refused."""

    default_error_messages = {"object": _("Give a JSON object.")}

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            self.fail("object")
        return value


class UtcField(serializers.DateTimeField):
    """Shown in UTC with `Z`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)


class ToldField(serializers.CharField):
    """A sentence stored in English, in the reader's language."""

    def to_representation(self, value: Any) -> str:
        return tell(value)


class IdField(serializers.RegexField):
    """An id that a person may choose: it becomes part of paths and of task ids."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"^[A-Za-z0-9_-]+$", max_length=64, **kwargs)


class ExecutorUpdate(StrictSerializer):
    id = serializers.CharField(read_only=True)
    name = serializers.CharField(max_length=128)
    type = serializers.CharField(max_length=32)
    base_url = serializers.CharField(max_length=512, required=False, allow_null=True, allow_blank=True)
    status = serializers.ChoiceField(Status.choices, required=False)
    weight = serializers.IntegerField(required=False, min_value=-1000, max_value=1000)
    max_concurrency = serializers.IntegerField(required=False, min_value=1, max_value=10_000)
    queue_limit = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1_000_000)
    config = ObjectField(required=False, allow_null=True)
    api_key_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=200)
    health_status = serializers.CharField(read_only=True)
    health_message = ToldField(read_only=True)
    last_heartbeat_at = UtcField(read_only=True)
    is_draining = serializers.BooleanField(read_only=True)
    paused_until = UtcField(read_only=True)
    running = serializers.IntegerField(read_only=True)
    held = serializers.IntegerField(read_only=True)
    queue_running = serializers.IntegerField(read_only=True)
    queue_pending = serializers.IntegerField(read_only=True)
    gaps = ObjectField(read_only=True)
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)


class ExecutorCreate(ExecutorUpdate):
    id = IdField(required=False)


class ExecutorRow(serializers.ModelSerializer[Executor]):
    base_url = serializers.SerializerMethodField()
    config = serializers.SerializerMethodField()
    api_key_ids = serializers.SerializerMethodField()
    health_status = serializers.SerializerMethodField()
    last_heartbeat_at = UtcField(read_only=True)
    paused_until = UtcField(read_only=True)
    running = serializers.IntegerField(read_only=True, help_text="Tasks of ours that run there.")
    held = serializers.IntegerField(read_only=True, help_text="Tasks of ours that wait or run there.")
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)

    class Meta:
        model = Executor
        fields = (
            "id",
            "name",
            "type",
            "base_url",
            "status",
            "weight",
            "max_concurrency",
            "queue_limit",
            "config",
            "api_key_ids",
            "health_status",
            "health_message",
            "last_heartbeat_at",
            "is_draining",
            "paused_until",
            "running",
            "held",
            "queue_running",
            "queue_pending",
            "gaps",
            "created_at",
            "updated_at",
        )

    @extend_schema_field({"type": "string", "nullable": True})
    def get_base_url(self, row: Executor) -> str | None:
        return base_url_of(row) or None

    @extend_schema_field(_OBJECT)
    def get_config(self, row: Executor) -> dict[str, Any]:
        return parameters.show(row.config, row.secrets)

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_api_key_ids(self, row: Executor) -> list[str]:
        links = sorted(row.executorapikey_set.all(), key=lambda link: (link.priority, link.pk))
        return [link.api_key_id for link in links]

    @extend_schema_field({"type": "string", "nullable": True})
    def get_health_status(self, row: Executor) -> str | None:
        return row.health_status or None


class HealthAnswer(serializers.Serializer[Any]):
    executor_id = serializers.CharField()
    is_up = serializers.BooleanField()
    message = serializers.CharField()
    version = serializers.CharField()
    latency_ms = serializers.FloatField(allow_null=True)
    queue_running = serializers.IntegerField(allow_null=True)
    queue_pending = serializers.IntegerField(allow_null=True)


class WorkflowUpdate(StrictSerializer):
    id = serializers.CharField(read_only=True)
    action = serializers.CharField(max_length=32, help_text="Cannot be changed later.")
    name = serializers.CharField(max_length=128)
    version = serializers.CharField(max_length=32, required=False)
    type = serializers.CharField(max_length=32, required=False)
    status = serializers.ChoiceField(Status.choices, required=False)
    definition = ObjectField(required=False)
    metadata = ObjectField(required=False, allow_null=True)
    revision = serializers.IntegerField(read_only=True)
    requirements = ObjectField(read_only=True)
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)


class WorkflowCreate(WorkflowUpdate):
    id = IdField(required=False)


class WorkflowRow(serializers.ModelSerializer[Workflow]):
    definition = ObjectField(read_only=True)
    metadata = ObjectField(read_only=True)
    requirements = ObjectField(read_only=True)
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)

    class Meta:
        model = Workflow
        fields = (
            "id",
            "action",
            "name",
            "version",
            "type",
            "status",
            "definition",
            "metadata",
            "revision",
            "requirements",
            "created_at",
            "updated_at",
        )


class RevisionRow(serializers.ModelSerializer[WorkflowRevision]):
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)
    created_at = UtcField(read_only=True)
    definition = ObjectField(read_only=True)
    metadata = ObjectField(read_only=True)

    class Meta:
        model = WorkflowRevision
        fields = ("number", "version", "definition", "metadata", "created_by", "created_at")


class BindingUpdate(StrictSerializer):
    id = serializers.CharField(read_only=True)
    action = serializers.CharField(max_length=32)
    workflow_id = serializers.CharField(max_length=64)
    executor_id = serializers.CharField(max_length=64)
    priority = serializers.IntegerField(required=False, min_value=-1_000_000, max_value=1_000_000)
    enabled = serializers.BooleanField(required=False)
    metadata = ObjectField(required=False, allow_null=True)
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)


class BindingCreate(BindingUpdate):
    id = IdField(required=False)


class BindingRow(serializers.ModelSerializer[WorkflowBinding]):
    workflow_id = serializers.CharField(read_only=True)
    executor_id = serializers.CharField(read_only=True)
    metadata = ObjectField(read_only=True)
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)

    class Meta:
        model = WorkflowBinding
        fields = (
            "id",
            "action",
            "workflow_id",
            "executor_id",
            "priority",
            "enabled",
            "metadata",
            "created_at",
            "updated_at",
        )


class ApiKeyUpdate(StrictSerializer):
    id = serializers.CharField(read_only=True)
    provider = serializers.CharField(max_length=64)
    name = serializers.CharField(max_length=128)
    key = serializers.CharField(max_length=4096, help_text="Kept encrypted; only its last four characters come back.")
    status = serializers.ChoiceField(ApiKey.State.choices, required=False)
    daily_quota = serializers.IntegerField(required=False, allow_null=True, min_value=0)
    expire_at = UtcField(required=False, allow_null=True)
    metadata = ObjectField(required=False, allow_null=True)
    last_four = serializers.CharField(read_only=True)
    usage_count = serializers.IntegerField(read_only=True)
    used_today = serializers.IntegerField(read_only=True)
    cooldown_until = UtcField(read_only=True)
    cooldown_reason = serializers.CharField(read_only=True)
    last_used_at = UtcField(read_only=True)
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)


class ApiKeyCreate(ApiKeyUpdate):
    id = IdField(required=False)


class ApiKeyRow(serializers.ModelSerializer[ApiKey]):
    key = serializers.SerializerMethodField()
    metadata = serializers.SerializerMethodField()
    expire_at = UtcField(read_only=True)
    cooldown_until = UtcField(read_only=True)
    last_used_at = UtcField(read_only=True)
    created_at = UtcField(read_only=True)
    updated_at = UtcField(read_only=True)

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "provider",
            "name",
            "key",
            "last_four",
            "status",
            "daily_quota",
            "usage_count",
            "used_today",
            "expire_at",
            "cooldown_until",
            "cooldown_reason",
            "last_used_at",
            "metadata",
            "created_at",
            "updated_at",
        )

    @extend_schema_field({"type": "string", "description": "Stars and the last four characters."})
    def get_key(self, row: ApiKey) -> str:
        return parameters.MASK + row.last_four

    @extend_schema_field({**_OBJECT, "nullable": True})
    def get_metadata(self, row: ApiKey) -> dict[str, Any] | None:
        return parameters.show(row.metadata or {}, row.secrets) or None


class DeletedAnswer(serializers.Serializer[Any]):
    status = serializers.CharField(default="deleted")
