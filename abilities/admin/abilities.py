"""Abilities: what is offered, how it fares, its versions, and the test panel."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from django.views.decorators.http import require_POST

from abilities import services
from abilities.admin.panel import TestPanel
from abilities.admin.rendering import DASH, moment, money, pill
from abilities.admin.versions import version_rows
from abilities.errors import AbilityVersionNotFound
from abilities.forms import AbilityForm
from abilities.models import Ability
from abilities.pricing import price_of
from podi.base.admin import ExportAdmin, ServiceAdmin
from podi.base.admin.accounts import acting
from podi.base.errors import PodiError

_ACTIVE = ngettext_lazy("%(count)d ability is active now.", "%(count)d abilities are active now.", "count")
_INACTIVE = ngettext_lazy("%(count)d ability is inactive now.", "%(count)d abilities are inactive now.", "count")
_LINKS = {"executor": "executor_id", "workflow": "workflow_id"}


@admin.register(Ability)
class AbilityAdmin(TestPanel, ExportAdmin, ServiceAdmin):
    form = AbilityForm
    change_form_template = "admin/abilities/ability/change_form.html"
    change_list_template = "admin/abilities/ability/change_list.html"
    list_display = (
        "shown_name",
        "shown_provider",
        "version",
        "shown_status",
        "shown_price",
        "shown_calls",
        "shown_rate",
        "last_call",
        "run_button",
    )
    list_display_links = ("shown_name",)
    list_filter = ("status", "provider", "category", "ability_type")
    list_per_page = 100
    search_fields = ("id", "display_name", "capability_key", "description")
    search_help_text = _("name, key, id or description")
    readonly_fields = ("created_at", "updated_at", "last_health_check_at", "last_health_status")
    actions = ("activate", "deactivate")
    save_on_top = True
    fieldsets = (
        (None, {"fields": (("display_name", "status"), ("provider", "capability_key", "category"), "description")}),
        (_("How it runs"), {"fields": (("ability_type", "executor", "workflow"), ("coze_workflow_id", "version"))}),
        (_("Inputs"), {"fields": ("input_schema", "default_params"), "classes": ("podi-wide",)}),
        (
            _("Price, outputs, routing and what else there is to say"),
            {"fields": ("metadata",), "classes": ("podi-wide",)},
        ),
        (
            _("Dates and health"),
            {
                "fields": ("id", ("created_at", "updated_at"), ("last_health_check_at", "last_health_status")),
                "classes": ("collapse",),
            },
        ),
    )

    class Media:
        js = ("podi/json.js",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<str:pk>/toggle/", view(self.toggle_view), name="abilities_ability_toggle"),
            path("<str:pk>/versions/<str:version>/", view(self.version_view), name="abilities_ability_version"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return services.with_recent_calls(super().get_queryset(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Ability | None = None) -> Any:
        return (*self.readonly_fields, "id") if obj else self.readonly_fields

    # Saving

    def save_through_service(
        self, request: HttpRequest, obj: Ability, form: ModelForm[Ability], change: bool
    ) -> Ability:
        given = {name: value for name, value in form.cleaned_data.items() if name != "id"}
        fields = {_LINKS.get(name, name): getattr(value, "pk", value) for name, value in given.items()}
        if not change:
            return services.create_ability(acting(request), ability_id=obj.pk, **fields)
        before = Ability.objects.get(pk=obj.pk)
        old_version = before.version
        saved = services.update_ability(acting(request), before, **fields)
        if saved.version != old_version:
            note = _("The definition changed: this is version %(new)s now; %(old)s can still be pinned.")
            self.message_user(request, str(note) % {"new": saved.version, "old": old_version}, messages.INFO)
        return saved

    def delete_through_service(self, request: HttpRequest, obj: Any) -> None:
        services.delete_ability(acting(request), obj)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        ability = Ability.objects.filter(pk=object_id).first() if object_id else None
        context = {**(extra_context or {}), "versions": version_rows(ability) if ability else []}
        context["show_save_and_add_another"] = False
        return super().changeform_view(request, object_id, form_url, context)

    @method_decorator(require_POST)
    def toggle_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        """One click from active to inactive and back."""
        ability = self._changeable(request, pk)
        is_active = ability.status == Ability.Status.ACTIVE
        self._set_status([ability], request, Ability.Status.INACTIVE if is_active else Ability.Status.ACTIVE)
        query = request.GET.urlencode()
        return HttpResponseRedirect(reverse("admin:abilities_ability_changelist") + (f"?{query}" if query else ""))

    @method_decorator(require_POST)
    def version_view(self, request: HttpRequest, pk: str, version: str) -> HttpResponse:
        """Make a frozen version the current one."""
        ability = self._changeable(request, pk)
        try:
            frozen = ability.versions.filter(version=version).first()
            if frozen is None:
                raise AbilityVersionNotFound()
            services.update_ability(acting(request), ability, **frozen.definition, version=frozen.version)
        except PodiError as error:
            self.message_user(request, str(error.text), messages.ERROR)
        else:
            self.log_change(request, ability, [{"changed": {"fields": ["version"]}}])
            self.message_user(request, str(_("Version %s is the current one now.")) % version, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:abilities_ability_change", args=[pk]))

    def _changeable(self, request: HttpRequest, pk: str) -> Ability:
        ability = Ability.objects.filter(pk=pk).first()
        if ability is None:
            raise Http404
        if not self.has_change_permission(request, ability):
            raise PermissionDenied
        return ability

    # Actions

    @admin.action(description=_("Activate"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Ability]) -> None:
        self._set_status(queryset, request, Ability.Status.ACTIVE)

    @admin.action(description=_("Deactivate"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Ability]) -> None:
        self._set_status(queryset, request, Ability.Status.INACTIVE)

    def _set_status(self, rows: Any, request: HttpRequest, status: str) -> None:
        actor = acting(request)

        def command(ability: Ability) -> bool:
            if ability.status == status:
                return False
            services.update_ability(actor, ability, status=status)
            self.log_change(request, ability, [{"changed": {"fields": ["status"]}}])
            return True

        is_active = status == Ability.Status.ACTIVE
        self.run_each(request, rows, command, done=_ACTIVE if is_active else _INACTIVE)

    # Columns

    @admin.display(description=_("ability"), ordering="display_name")
    def shown_name(self, ability: Ability) -> SafeString:
        name, key = ability.display_name, ability.capability_key
        return format_html('<strong>{}</strong><div><code class="podi-id">{}</code></div>', name, key)

    @admin.display(description=_("provider and category"), ordering="provider")
    def shown_provider(self, ability: Ability) -> SafeString:
        return format_html('{}<div class="podi-quiet">{}</div>', ability.provider, ability.category)

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, ability: Ability) -> SafeString:
        is_active = ability.status == Ability.Status.ACTIVE
        return format_html(
            '<button type="submit" class="podi-toggle podi-is-{}" formaction="{}" title="{}">{}</button>',
            ability.status,
            reverse("admin:abilities_ability_toggle", args=[ability.pk]),
            _("Switch off") if is_active else _("Switch on"),
            ability.get_status_display(),
        )

    @admin.display(description=_("price"))
    def shown_price(self, ability: Ability) -> SafeString | str:
        price = price_of(ability.metadata or {})
        if price.unit_price is None and not price.points:
            return DASH
        points = format_html(" · {} {}", price.points, _("points")) if price.points else ""
        return format_html(
            '<span class="podi-nowrap">{}{}</span><div class="podi-quiet">{}</div>',
            money(price.unit_price, price.currency) if price.unit_price is not None else "",
            points,
            price.unit,
        )

    @admin.display(description=_("calls 24 h"), ordering="recent_calls")
    def shown_calls(self, ability: Any) -> SafeString | str:
        if not ability.recent_calls:
            return DASH
        url = reverse("admin:abilities_invocation_changelist")
        return format_html('<a href="{}?ability={}&when=24h">{}</a>', url, ability.pk, ability.recent_calls)

    @admin.display(description=_("success 24 h"))
    def shown_rate(self, ability: Any) -> SafeString | str:
        ended = (ability.recent_success or 0) + (ability.recent_failed or 0)
        if not ended:
            return DASH
        share = ability.recent_success / ended
        kind = "succeeded" if share >= 0.95 else "warning" if share >= 0.8 else "failed"
        return pill(kind, f"{share:.0%}", title=f"{ability.recent_success} / {ended}")

    @admin.display(description=_("last call"), ordering="last_call_at")
    def last_call(self, ability: Any) -> SafeString | str:
        return moment(ability.last_call_at)

    @admin.display(description="")
    def run_button(self, ability: Ability) -> SafeString:
        url = reverse("admin:abilities_ability_test", args=[ability.pk])
        return format_html('<a class="podi-button" href="{}">▶ {}</a>', url, _("Run"))
