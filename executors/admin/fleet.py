"""The admin of executors: health at a glance, a form drawn from the provider's parameters, test, drain, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.defaultfilters import date as format_date
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from executors import forms, services
from executors.models import Executor, Lease
from executors.pool.leases import queue_limit_of
from executors.routing import HEALTHY, blocked_reason
from podi.base.admin import ExportAdmin, LargeTableMixin, ReadOnlyAdmin, ServiceAdmin
from podi.base.admin.accounts import acting
from podi.base.errors import PodiError
from podi.base.phrases import tell

_COLOURS: Final = {"good": "#2e7d32", "warn": "#b26a00", "bad": "#c62828", "idle": "#757575"}
_BLOCKED: Final = {
    "draining": ("warn", _("draining")),
    "paused": ("warn", _("paused")),
    "breaker_open": ("bad", _("set aside after failures")),
    "unhealthy": ("bad", _("down")),
}
_DRAINED = ngettext_lazy("%(count)d executor takes no new work.", "%(count)d executors take no new work.", "count")
_RESUMED = ngettext_lazy("%(count)d executor works again.", "%(count)d executors work again.", "count")


class HealthFilter(admin.SimpleListFilter):
    title = _("health")
    parameter_name = "health"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("healthy", _("up")), ("unhealthy", _("down")), ("unknown", _("not looked at yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Executor]) -> QuerySet[Executor]:
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(health_status="" if chosen == "unknown" else chosen)


@admin.register(Executor)
class ExecutorAdmin(ExportAdmin, ServiceAdmin):
    list_display = ("name", "type", "health", "load", "node_queue", "status", "weight", "base_url", "last_heartbeat_at")
    list_filter = ("type", "status", HealthFilter, "is_draining")
    search_fields = ("id", "name", "base_url")
    actions = ("test_connections", "drain", "resume")
    change_form_template = "admin/executors/executor/change_form.html"
    readonly_fields = (
        "id",
        "health",
        "load",
        "node_queue",
        "last_heartbeat_at",
        "inventory_summary",
        "gaps_summary",
        "created_at",
        "updated_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Executor]:
        rows: QuerySet[Executor] = services.count_leases(super().get_queryset(request))
        return rows.defer("inventory", "secrets")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Executor | None:
        return services.count_leases(Executor.objects.filter(pk=object_id)).first()

    @admin.display(description=_("health"), ordering="health_status")
    def health(self, row: Executor) -> SafeString:
        tone, text = _describe_health(row)
        return format_html(
            '<span style="color:{}" title="{}">● {}</span>', _COLOURS[tone], tell(row.health_message), text
        )

    @admin.display(description=_("our tasks"))
    def load(self, row: Executor) -> str:
        held, running = getattr(row, "held", 0), getattr(row, "running", 0)
        return str(
            _("%(running)d/%(slots)d run, %(waiting)d wait (limit %(limit)d)")
            % {
                "running": running,
                "slots": row.max_concurrency,
                "waiting": held - running,
                "limit": queue_limit_of(row),
            }
        )

    @admin.display(description=_("its own queue"))
    def node_queue(self, row: Executor) -> str:
        if row.queue_running is None:
            return "–"
        return f"{row.queue_running} + {row.queue_pending or 0}"

    @admin.display(description=_("inventory"))
    def inventory_summary(self, row: Executor) -> Any:
        found = row.inventory
        lines: list[tuple[Any, str]] = []
        if nodes := found.get("nodes"):
            lines.append((_("node types"), str(len(nodes))))
        lines += [(kind, ", ".join(names)) for kind, names in (found.get("models") or {}).items() if names]
        lines += [(_("device"), str(device.get("name", ""))) for device in found.get("devices") or []]
        lines += [(name, str(value)) for name, value in (found.get("system") or {}).items()]
        return format_html_join("", "<div><b>{}</b>: {}</div>", lines) or "–"

    @admin.display(description=_("missing for workflows"))
    def gaps_summary(self, row: Executor) -> Any:
        lines = [
            (workflow, f"{kind}: {', '.join(map(str, names))}")
            for workflow, missing in row.gaps.items()
            for kind, names in missing.items()
        ]
        return format_html_join("", "<div><b>{}</b>: {}</div>", lines) or "–"

    def get_form(self, request: HttpRequest, obj: Executor | None = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = forms.build_executor_form(obj.type, obj.secrets) if obj else forms.ExecutorForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Executor | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("name", "type", "base_url", "weight", "max_concurrency", "queue_limit")})]
        settings = ["base_url", *forms.parameter_fields(obj.type), "tags"]
        if forms.uses_api_keys(obj.type):
            settings.append("api_key_ids")
        if obj.secrets:
            settings.append("forget_secrets")
        return [
            (None, {"fields": ("id", "name", "type", "status", "health", "load", "node_queue", "last_heartbeat_at")}),
            (_("How to reach it"), {"fields": settings}),
            (_("How much it gets"), {"fields": ("weight", "max_concurrency", "queue_limit")}),
            (_("What it has"), {"fields": ("inventory_summary", "gaps_summary")}),
            (_("More"), {"classes": ("collapse",), "fields": ("other_settings", "created_at", "updated_at")}),
        ]

    def save_through_service(
        self, request: HttpRequest, obj: Executor, form: ModelForm[Executor], change: bool
    ) -> Executor:
        assert isinstance(form, forms.ExecutorForm)
        values: Any = form.read_changes()
        if not change:
            del values["config"]
            return services.create_executor(acting(request), values)
        return services.update_executor(acting(request), services.find_executor(obj.pk), values)

    def save_related(self, *args: Any, **kwargs: Any) -> None:
        """The service has linked the keys."""

    def response_add(self, request: HttpRequest, obj: Executor, post_url_continue: str | None = None) -> HttpResponse:
        """A new executor is off: go on to its settings."""
        self.message_user(request, _("Now fill in its settings, test the connection, and switch it on."))
        return HttpResponseRedirect(reverse("admin:executors_executor_change", args=[obj.pk]))

    def delete_through_service(self, request: HttpRequest, obj: Executor) -> None:
        services.delete_executor(acting(request), obj)

    @admin.action(description=_("Test connection"), permissions=["change"])
    def test_connections(self, request: HttpRequest, queryset: QuerySet[Executor]) -> None:
        for row in queryset:
            self._test(request, row)

    @admin.action(description=_("Drain: no new work"), permissions=["change"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Executor]) -> None:
        actor = acting(request)
        self.run_each(request, queryset, lambda row: services.drain(actor, row), done=_DRAINED)

    @admin.action(description=_("Resume: work again at once"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Executor]) -> None:
        actor = acting(request)
        self.run_each(request, queryset, lambda row: services.resume(actor, row), done=_RESUMED)

    def get_urls(self) -> list[URLPattern]:
        command = path(
            "<path:object_id>/command/<str:name>/",
            self.admin_site.admin_view(self.run_command),
            name="executors_executor_command",
        )
        return [command, *super().get_urls()]

    def run_command(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """The buttons of the page. Outside any transaction, because a test waits for the network."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        commands: dict[str, Callable[[HttpRequest, Executor], None]] = {
            "test": self._test,
            "drain": lambda request, row: services.drain(acting(request), row),
            "resume": lambda request, row: services.resume(acting(request), row),
        }
        try:
            if name in commands:
                commands[name](request, services.find_executor(object_id))
        except PodiError as error:
            self.message_user(request, tell(error.text), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:executors_executor_change", args=[object_id]))

    def _test(self, request: HttpRequest, row: Executor) -> None:
        health = services.test_connection(acting(request), row)
        if health.is_up:
            facts = {"name": row.name, "version": health.version or "–", "latency": health.latency_ms or 0}
            note = _("%(name)s answers: version %(version)s, %(latency).0f ms.") % facts
            self.message_user(request, note, messages.SUCCESS)
        else:
            note = _("%(name)s cannot be used: %(message)s") % {"name": row.name, "message": tell(health.message)}
            self.message_user(request, note, messages.ERROR)


@admin.register(Lease)
class LeaseAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = ("executor", "place", "slot", "holder", "taken_at", "started_at")
    list_filter = ("executor",)
    list_select_related = ("executor",)
    search_fields = ("=holder", "=executor__id")
    ordering = ("executor", "pk")


def _describe_health(row: Executor) -> tuple[str, str | Promise]:
    if row.status != "active":
        return "idle", _("switched off")
    now = timezone.now()
    if reason := blocked_reason(row, now):
        tone, text = _BLOCKED[reason]
        label: str | Promise = text
        if reason in ("paused", "breaker_open") and row.paused_until:
            until = format_date(timezone.localtime(row.paused_until), "H:i:s")
            label = _("%(state)s until %(time)s") % {"state": text, "time": until}
        return tone, label
    return ("good", _("up")) if row.health_status == HEALTHY else ("idle", _("not looked at yet"))
