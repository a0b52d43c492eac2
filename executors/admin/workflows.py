"""The admin of workflows, their revisions, and bindings."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from executors import forms, services
from executors.models import Executor, Workflow, WorkflowBinding, WorkflowRevision
from podi.base.admin import ExportAdmin, LargeTableMixin, ReadOnlyAdmin, ServiceAdmin
from podi.base.admin.accounts import acting


@admin.register(Workflow)
class WorkflowAdmin(ExportAdmin, ServiceAdmin):
    form = forms.WorkflowForm
    list_display = ("name", "action", "version", "type", "status", "revision", "updated_at")
    list_filter = ("action", "type", "status")
    search_fields = ("id", "name", "action")
    export_fields = ("id", "action", "name", "version", "type", "status", "revision", "updated_at")
    readonly_fields = ("id", "revision_link", "needs_summary", "inputs_summary", "lacking", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("id", "action", "name", "version", "type", "status", "revision_link")}),
        (_("What it is"), {"fields": ("needs_summary", "inputs_summary", "lacking")}),
        (_("Graph"), {"fields": ("definition", "metadata")}),
        (_("Dates"), {"fields": ("created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workflow]:
        return super().get_queryset(request).defer("definition", "metadata", "requirements")

    def get_readonly_fields(self, request: HttpRequest, obj: Workflow | None = None) -> Any:
        return (*self.readonly_fields, "action") if obj else self.readonly_fields

    @admin.display(description=_("revision"))
    def revision_link(self, row: Workflow) -> Any:
        if not row.pk:
            return "–"
        url = reverse("admin:executors_workflowrevision_changelist")
        return format_html('<a href="{}?workflow__id__exact={}">{}</a>', url, row.pk, row.revision)

    @admin.display(description=_("needs"))
    def needs_summary(self, row: Workflow) -> Any:
        nodes = row.requirements.get("nodes") or []
        lines = [(_("node types"), ", ".join(nodes) or "–")]
        lines += [(kind, ", ".join(names)) for kind, names in (row.requirements.get("models") or {}).items()]
        return format_html_join("", "<div><b>{}</b>: {}</div>", lines)

    @admin.display(description=_("inputs"))
    def inputs_summary(self, row: Workflow) -> Any:
        rules = (row.metadata or {}).get("input_node_map") or []
        lines = [
            (rule.get("field") or rule.get("name"), rule.get("node_id"), rule.get("input_key") or rule.get("input"))
            for rule in rules
            if isinstance(rule, dict)
        ]
        return format_html_join("", "<div><b>{}</b> → {}.{}</div>", lines) or "–"

    @admin.display(description=_("nodes that lack something"))
    def lacking(self, row: Workflow) -> Any:
        lines = [
            (executor.name, f"{kind}: {', '.join(map(str, names))}")
            for executor in Executor.objects.exclude(gaps={}).only("name", "gaps")
            for kind, names in (executor.gaps.get(row.pk) or {}).items()
        ]
        return format_html_join("", "<div><b>{}</b>: {}</div>", lines) or _("none that we know of")

    def save_through_service(
        self, request: HttpRequest, obj: Workflow, form: ModelForm[Workflow], change: bool
    ) -> Workflow:
        assert isinstance(form, forms.WorkflowForm)
        values: Any = form.read_changes()
        if not change:
            return services.create_workflow(acting(request), values)
        return services.update_workflow(acting(request), services.find_workflow(obj.pk), values)

    def delete_through_service(self, request: HttpRequest, obj: Workflow) -> None:
        services.delete_workflow(acting(request), obj)


@admin.register(WorkflowRevision)
class WorkflowRevisionAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = ("workflow", "number", "version", "created_by", "created_at")
    list_filter = ("workflow", "created_at")
    list_select_related = ("workflow", "created_by")
    search_fields = ("workflow__id", "workflow__name")
    actions = ("restore",)

    @admin.action(description=_("Make this the current content"), permissions=["view"])
    def restore(self, request: HttpRequest, queryset: QuerySet[WorkflowRevision]) -> None:
        actor = acting(request)
        self.run_each(
            request,
            queryset,
            lambda kept: services.restore_revision(actor, services.find_workflow(kept.workflow_id), kept.number),
            done=ngettext_lazy(
                "%(count)d workflow has its earlier content again, as a new revision.",
                "%(count)d workflows have their earlier content again, as a new revision.",
                "count",
            ),
        )


@admin.register(WorkflowBinding)
class BindingAdmin(ExportAdmin, ServiceAdmin):
    form = forms.BindingForm
    list_display = ("action", "workflow", "executor", "priority", "enabled", "updated_at")
    list_filter = ("action", "enabled", "executor")
    list_select_related = ("workflow", "executor")
    search_fields = ("id", "action", "workflow__name", "executor__name")
    autocomplete_fields = ("workflow", "executor")
    readonly_fields = ("id", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("id", "action", "workflow", "executor", "priority", "enabled")}),
        (_("More"), {"classes": ("collapse",), "fields": ("metadata", "created_at", "updated_at")}),
    )

    def save_through_service(
        self, request: HttpRequest, obj: WorkflowBinding, form: ModelForm[WorkflowBinding], change: bool
    ) -> WorkflowBinding:
        assert isinstance(form, forms.BindingForm)
        values: Any = form.read_changes()
        if not change:
            return services.create_binding(acting(request), values)
        return services.update_binding(acting(request), services.find_binding(obj.pk), values)

    def delete_through_service(self, request: HttpRequest, obj: WorkflowBinding) -> None:
        services.delete_binding(acting(request), obj)
