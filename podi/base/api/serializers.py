"""Serializers that every app's API uses: refusing unknown fields, and the body of an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, so that a misspelt one is not silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := [str(name) for name in data if name not in self.fields]):
            raise serializers.ValidationError({name: [_("Unknown field.")] for name in unknown})
        return super().to_internal_value(data)


class ErrorSerializer(serializers.Serializer[Any]):
    """The body of every refusal; some codes add details of their own beside these keys."""

    detail = serializers.CharField(help_text=_("The stable code, some with a suffix after a colon."))
    message = serializers.CharField(help_text=_("A sentence for people, in the language of Accept-Language."))
    retryable = serializers.BooleanField(help_text=_("Whether the same request can succeed later."))
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text=_("What is wrong, field by field.")
    )
    requestId = serializers.CharField(help_text=_("Name this when you ask about the error."))
