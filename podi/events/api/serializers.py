"""The wire form of events, deliveries and signing secrets."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from podi.events.envelope import iso_utc
from podi.events.models import Delivery, DeliveryAttempt


class UtcField(serializers.DateTimeField):
    """ISO 8601 in UTC with `Z`."""

    def to_representation(self, value: Any) -> Any:
        return iso_utc(value) if value else None


class SuccessAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField(default=True)


class EnvelopeRow(serializers.Serializer[Any]):
    type = serializers.CharField()
    id = serializers.IntegerField(help_text=_("What a stream or the next page goes on from."))
    payload = serializers.DictField()
    timestamp = serializers.DateTimeField()


class EventPage(serializers.Serializer[Any]):
    items = EnvelopeRow(many=True)
    lastEventId = serializers.IntegerField(help_text=_("Send it as `after` for the next page."))
    hasMore = serializers.BooleanField()
    isIncomplete = serializers.BooleanField(help_text=_("Events after `after` were removed by retention."))


class AttemptRow(serializers.ModelSerializer[DeliveryAttempt]):
    startedAt = UtcField(source="started_at")
    durationMs = serializers.IntegerField(source="duration_ms")
    httpStatus = serializers.IntegerField(source="http_status", allow_null=True)

    class Meta:
        model = DeliveryAttempt
        fields = ("number", "startedAt", "durationMs", "httpStatus", "answer", "error")


class DeliveryRow(serializers.ModelSerializer[Delivery]):
    type = serializers.CharField(source="event.topic")
    subjectType = serializers.CharField(source="event.subject_type")
    subjectId = serializers.CharField(source="event.subject_id")
    attempts = serializers.IntegerField()
    nextAttemptAt = UtcField(source="next_attempt_at", allow_null=True)
    lastHttpStatus = serializers.IntegerField(source="last_status", allow_null=True)
    lastError = serializers.CharField(source="last_error")
    deliveredAt = UtcField(source="delivered_at", allow_null=True)
    createdAt = UtcField(source="created_at")
    log = AttemptRow(many=True)

    class Meta:
        model = Delivery
        fields = (
            "id", "type", "subjectType", "subjectId", "url", "state", "attempts", "nextAttemptAt", "lastHttpStatus",
            "lastError", "deliveredAt", "createdAt", "log",
        )  # fmt: skip


class DeliveryPage(serializers.Serializer[Any]):
    items = DeliveryRow(many=True)
    total = serializers.IntegerField()
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()


class SecretAnswer(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text=_("Verifies `webhook-signature` by the Standard Webhooks rules."))
    previousValidUntil = UtcField(allow_null=True, help_text=_("Until then the secret before this one signs too."))
