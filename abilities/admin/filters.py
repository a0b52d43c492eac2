"""Filters of the lists of tasks and calls. None of them asks a large table what values it holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from abilities.models import Ability, Task
from executors import services as executors
from executors.models import Executor

_WINDOWS = {
    "1h": (_("last hour"), timedelta(hours=1)),
    "24h": (_("last 24 hours"), timedelta(hours=24)),
    "7d": (_("last 7 days"), timedelta(days=7)),
    "30d": (_("last 30 days"), timedelta(days=30)),
}


class WhenFilter(admin.SimpleListFilter):
    title = _("time")
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("today", _("today")), *((key, label) for key, (label, _age) in _WINDOWS.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        if chosen == "today":
            midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
            return queryset.filter(created_at__gte=midnight)
        if chosen in _WINDOWS:
            return queryset.filter(created_at__gte=timezone.now() - _WINDOWS[chosen][1])
        return queryset


class ProviderFilter(admin.SimpleListFilter):
    title = _("provider")
    parameter_name = "provider"
    column = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(kind, kind) for kind in executors.provider_kinds()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(**{self.column: chosen}) if chosen else queryset


class CallProviderFilter(ProviderFilter):
    column = "ability_provider"


class SourceFilter(admin.SimpleListFilter):
    title = _("source")
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Task.Source.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(source=chosen) if chosen else queryset


class _RowFilter(admin.SimpleListFilter):
    """One of the rows of a small table."""

    column = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(**{self.column: chosen}) if chosen else queryset


class AbilityFilter(_RowFilter):
    title = _("ability")
    parameter_name = "ability"
    column = "ability_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Ability.objects.order_by("provider", "display_name").values_list("id", "display_name"))


class ExecutorFilter(_RowFilter):
    title = _("executor")
    parameter_name = "executor"
    column = "executor_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Executor.objects.order_by("type", "name").values_list("id", "name"))
