"""Export of admin lists as CSV and JSON: every list filters, searches and exports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from podi.base.fields import EncryptedJSONField, EncryptedTextField

if TYPE_CHECKING:
    _ModelAdmin = ModelAdmin[Any]
else:
    _ModelAdmin = ModelAdmin

MAX_ROWS: Final = 20_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SECRET_NAMES = frozenset({"password", "token_hash", "key_hash", "password_mark", "current"})


class ExportAdmin(_ModelAdmin):
    """Two actions on the chosen rows, at most 20 000. `export_fields` names the columns; else all but secret ones.

    Mix it in before ReadOnlyAdmin or ServiceAdmin.
    """

    export_fields: Sequence[str] = ()
    actions: Sequence[Any] = ("export_csv", "export_json")

    def get_actions(self, request: HttpRequest) -> Any:
        """Also for a class that lists `actions` of its own."""
        found = super().get_actions(request)
        for name in ExportAdmin.actions:
            if name not in found and (action := self.get_action(name)):
                found[name] = action
        return found

    @admin.action(description=_("Export as CSV"), permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(self.get_export_fields())
        for row in self._export_rows(queryset):
            writer.writerow(map(_cell, row.values()))
        # The mark lets spreadsheets see that it is UTF-8.
        return self._attach("\ufeff" + buffer.getvalue(), "text/csv; charset=utf-8", "csv")

    @admin.action(description=_("Export as JSON"), permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        text = json.dumps(list(self._export_rows(queryset)), cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)
        return self._attach(text, "application/json", "json")

    def get_export_fields(self) -> list[str]:
        if self.export_fields:
            return list(self.export_fields)
        return [field.attname for field in self.model._meta.concrete_fields if not _is_secret(field)]

    def _export_rows(self, queryset: QuerySet[Any]) -> Iterator[dict[str, Any]]:
        names = self.get_export_fields()
        for row in queryset[:MAX_ROWS].iterator(chunk_size=500):
            yield {name: _value(row, name) for name in names}

    def _attach(self, text: str, content_type: str, suffix: str) -> HttpResponse:
        name = f"{self.model._meta.model_name}-{timezone.now():%Y%m%d-%H%M%S}.{suffix}"
        return HttpResponse(
            text,
            content_type=content_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )


def _is_secret(field: Field[Any, Any]) -> bool:
    return isinstance(field, EncryptedTextField | EncryptedJSONField) or field.name in _SECRET_NAMES


def _value(row: Model, name: str) -> Any:
    """`a__b` follows a relation; what is callable is called."""
    value: Any = row
    for part in name.split("__"):
        value = getattr(value, part, None)
        value = value() if callable(value) else value
    return value


def _cell(value: Any) -> Any:
    """A spreadsheet must not take somebody's text for a formula."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
    elif hasattr(value, "isoformat"):
        value = value.isoformat()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
