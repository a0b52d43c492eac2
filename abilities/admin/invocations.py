"""The call log: one row per try, with what was sent and answered, why it went where it went, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from abilities import services
from abilities.admin import metrics, showing
from abilities.admin.filters import AbilityFilter, CallProviderFilter, ExecutorFilter, SourceFilter, WhenFilter
from abilities.admin.rendering import admin_link, duration, moment, money, pill, pretty_json, short
from abilities.models import Invocation, Task
from media.models import Asset
from podi.base.admin import ExportAdmin, LargeTableMixin, ReadOnlyAdmin
from podi.base.ids import decode_task_id
from podi.base.phrases import tell

_HEAVY = ("request_payload", "response_payload", "result_assets", "routing", "pending_outputs", "error_message")
_STEPS = ("created_at", "sent_at", "accepted_at", "ran_at", "done_at", "finished_at")


@admin.register(Invocation)
class InvocationAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    change_list_template = "admin/abilities/invocation/change_list.html"
    list_display = (
        "id",
        "shown_time",
        "shown_status",
        "shown_ability",
        "shown_executor",
        "shown_source",
        "shown_task",
        "attempt",
        "shown_duration",
        "shown_cost",
        "shown_trace",
    )
    sortable_by = ("id", "shown_time")  # by index: any other order would sort the whole log
    list_filter = ("status", WhenFilter, CallProviderFilter, SourceFilter, AbilityFilter, ExecutorFilter)
    list_select_related = ("executor",)
    search_fields = ("id",)
    search_help_text = _("number, task id, trace id, request id, or the provider's id")
    actions = ("fetch_again",)
    readonly_fields = (
        "shown_status",
        "shown_task",
        "shown_ability",
        "shown_executor",
        "shown_source",
        "shown_steps",
        "shown_cost",
        "shown_routing",
        "shown_request",
        "shown_response",
        "shown_results",
        "shown_error",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("shown_status", "step", "attempt"),
                    "shown_error",
                    "shown_task",
                    ("shown_ability", "shown_executor", "api_key"),
                    ("shown_source", "request_id", "trace_id"),
                    ("ref", "workflow_run_id"),
                )
            },
        ),
        (_("When"), {"fields": ("shown_steps",), "classes": ("podi-wide",)}),
        (
            _("Cost"),
            {"fields": (("shown_cost", "unit_price", "quantity", "billing_unit", "currency"),)},
        ),
        (_("Why this executor"), {"fields": ("shown_routing",), "classes": ("podi-wide",)}),
        (_("Sent"), {"fields": ("shown_request",), "classes": ("podi-wide",)}),
        (_("Answered"), {"fields": ("shown_response",), "classes": ("podi-wide",)}),
        (_("Results"), {"fields": ("shown_results",), "classes": ("podi-wide",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(metrics.view(self))
        return [path("metrics/", page, name="abilities_invocation_metrics"), *super().get_urls()]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list needs no payloads."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = changelist.result_list.defer(*_HEAVY)
        return changelist

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Invocation], search_term: str
    ) -> tuple[QuerySet[Invocation], bool]:
        """By index first; only what no index knows is looked for in the whole log."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdecimal() and len(term) < 19 and (by_number := queryset.filter(pk=int(term))).exists():
            return by_number, False
        for condition in ({"task_id": decode_task_id(term)}, {"trace_id": term}):
            if (found := queryset.filter(**condition)).exists():
                return found, False
        return queryset.filter(request_id=term) | queryset.filter(ref=term), False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("abilities.change_invocation")

    @admin.action(description=_("Fetch lost results from the node again"), permissions=["operate"])
    def fetch_again(self, request: HttpRequest, queryset: QuerySet[Invocation]) -> None:
        rows = queryset.select_related("executor", "task__owner")
        done = ngettext_lazy(
            "The results of %(count)d call are in our storage.",
            "The results of %(count)d calls are in our storage.",
            "count",
        )
        self.run_each(request, rows, lambda row: bool(services.resolve_invocation(row)), done=done)

    # Export: the same items that the API's log gives

    def _export_rows(self, queryset: QuerySet[Any]) -> Iterator[dict[str, Any]]:
        ids = list(queryset.values_list("pk", flat=True)[:20_000])
        for start in range(0, len(ids), 500):
            rows = Invocation.objects.filter(pk__in=ids[start : start + 500]).order_by("-id")
            yield from services.log_items(list(rows))

    def get_export_fields(self) -> list[str]:
        """The columns of an item, read off an empty row so that they cannot differ."""
        return list(services.log_items([Invocation()])[0])

    # Columns

    @admin.display(description=_("time"), ordering="created_at")
    def shown_time(self, row: Invocation) -> SafeString | str:
        return moment(row.created_at)

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, row: Invocation) -> SafeString:
        found = pill(row.status, row.get_status_display())
        if row.error_code:
            found = format_html('{}<div class="podi-code">{}</div>', found, row.error_code)
        return found

    @admin.display(description=_("ability"))
    def shown_ability(self, row: Invocation) -> SafeString:
        return format_html(
            '{}<div class="podi-quiet">{} · {}</div>', row.ability_name, row.ability_provider, row.capability_key
        )

    @admin.display(description=_("executor"))
    def shown_executor(self, row: Invocation) -> SafeString | str:
        return admin_link(row.executor) if row.executor_id else row.executor_name or row.executor_type

    @admin.display(description=_("task"))
    def shown_task(self, row: Invocation) -> SafeString | str:
        url = reverse("admin:abilities_task_change", args=[row.task_id])
        return format_html('<a href="{}">{}</a>', url, short(row.task_id))

    @admin.display(description=_("duration"), ordering="duration_ms")
    def shown_duration(self, row: Invocation) -> str:
        return duration(row.duration_ms)

    @admin.display(description=_("cost"), ordering="cost_amount")
    def shown_cost(self, row: Invocation) -> str:
        return money(row.cost_amount, row.currency)

    @admin.display(description=_("trace id"))
    def shown_trace(self, row: Invocation) -> SafeString | str:
        return short(row.trace_id or row.request_id, length=12)

    # The page of one call

    @admin.display(description=_("error"))
    def shown_error(self, row: Invocation) -> str:
        return tell(row.error_message) or row.error_code or "–"

    @admin.display(description=_("source"))
    def shown_source(self, row: Invocation) -> str:
        return str(dict(Task.Source.choices).get(row.source, row.source))

    @admin.display(description=_("steps"))
    def shown_steps(self, row: Invocation) -> str:
        steps = []
        before = row.created_at
        for name in _STEPS:
            at = getattr(row, name)
            if at is not None:
                label = label_for_field(name, Invocation)
                steps.append((label, at, duration((at - before).total_seconds() * 1000) if at > before else ""))
                before = at
        return render_to_string("abilities/steps.html", {"steps": steps})

    @admin.display(description=_("routing"))
    def shown_routing(self, row: Invocation) -> str:
        return render_to_string("abilities/routing.html", {"routing": row.routing, "executor_id": row.executor_id})

    @admin.display(description=_("request"))
    def shown_request(self, row: Invocation) -> SafeString:
        return pretty_json(row.request_payload)

    @admin.display(description=_("answer"))
    def shown_response(self, row: Invocation) -> SafeString:
        return pretty_json(row.response_payload)

    @admin.display(description=_("results"))
    def shown_results(self, row: Invocation) -> SafeString:
        """Small pictures of what was stored, and the entries as the API gives them."""
        ids = [asset["assetId"] for asset in row.result_assets or []]
        kept = Asset.objects.filter(pk__in=ids, width__isnull=False)
        pictures = format_html_join(
            " ", '<a href="{}"><img class="podi-thumb podi-large" src="{}" alt=""></a>', map(_picture, kept)
        )
        return pictures + pretty_json(services.log_items([row])[0]["result_assets"])


def _picture(asset: Asset) -> tuple[str, str]:
    return reverse("admin:media_asset_change", args=[asset.pk]), showing.thumbnail_url(asset)
