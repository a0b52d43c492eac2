"""The page for Coze: what to import, what is offered, what was called and refused, and how to set it up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from abilities.models import Ability, Task
from coze_plugin import addressing, naming, readiness, services
from coze_plugin.forms import ToolForm
from coze_plugin.models import BridgeChat, Refusal, Tool
from podi.base.addresses import is_within, parse_address
from podi.base.admin import ExportAdmin, LargeTableMixin, ReadOnlyAdmin, ServiceAdmin
from podi.base.admin.accounts import acting
from podi.base.errors import PodiError

SHOWN: Final = 15


@admin.register(Tool)
class ToolAdmin(ServiceAdmin):
    """The list is the page itself: every ability stands on it, also those nobody has decided about."""

    form = ToolForm
    readonly_fields = ("ability", "updated_at")
    fieldsets = (
        (None, {"fields": ("ability", "is_exposed")}),
        (_("Limits"), {"fields": ("rate_per_minute", "allowed_networks")}),
        (_("Trial run"), {"fields": ("trial_until", "updated_at")}),
    )

    class Media:
        js = ("coze_plugin/page.js",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:pk>/offer/", view(self.offer_view), name="coze_plugin_tool_offer"),
            path("<path:pk>/trial/", view(self.trial_view), name="coze_plugin_tool_trial"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False  # a tool is an ability; it appears by itself

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Tool | None:
        """The tool of an ability, also where no decision is stored yet."""
        ability = Ability.objects.filter(pk=unquote(object_id)).first()
        return Tool.objects.filter(ability=ability).first() or Tool(ability=ability) if ability else None

    def save_through_service(self, request: HttpRequest, obj: Tool, form: ModelForm[Tool], change: bool) -> Tool:
        return services.configure_tool(acting(request), obj.ability, **form.cleaned_data)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        server = addressing.server_url(request)
        offers = services.offers(with_hidden=True)
        exposed = [offer for offer in offers if offer.tool.is_exposed]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("Coze plugin"),
            "server": server,
            "documents": _documents(server, {offer.ability.provider for offer in exposed}),
            "findings": readiness.findings(exposed, server=server, is_proxied=_is_proxied(request)),
            "rows": _tool_rows(offers),
            "calls": services.calls().select_related("executor")[:SHOWN],
            "refusals": Refusal.objects.all()[:SHOWN],
            "may_change": self.has_change_permission(request),
            "settings": settings,
            "steps": _steps(),
        }
        return render(request, "coze_plugin/page.html", context)

    @method_decorator(require_POST)
    def offer_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        """One click from offered to hidden and back."""

        def turn(ability: Ability) -> str:
            tool = Tool.objects.filter(ability=ability).first()
            is_exposed = not (tool is None or tool.is_exposed)
            services.configure_tool(acting(request), ability, is_exposed=is_exposed)
            return str(_("%s is offered to Coze now.") if is_exposed else _("%s is no longer offered to Coze."))

        return self._command(request, pk, turn)

    @method_decorator(require_POST)
    def trial_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Samples for half an hour, or an end to that."""

        def turn(ability: Ability) -> str:
            tool = Tool.objects.filter(ability=ability).first()
            if tool is not None and tool.is_on_trial(timezone.now()):
                services.end_trial(acting(request), ability)
                return str(_("%s runs in earnest again."))
            services.start_trial(acting(request), ability)
            return str(_("%s answers with a sample for the next thirty minutes."))

        return self._command(request, pk, turn)

    def _command(self, request: HttpRequest, pk: str, command: Callable[[Ability], str]) -> HttpResponse:
        ability = Ability.objects.filter(pk=pk).first()
        if ability is None:
            raise Http404
        if not self.has_change_permission(request):
            raise PermissionDenied
        try:
            told = command(ability)
        except PodiError as error:
            self.message_user(request, str(error.text), messages.ERROR)
        else:
            self.log_change(request, Tool.objects.get(ability=ability), told % ability.display_name)
            self.message_user(request, told % ability.display_name, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:coze_plugin_tool_changelist") + "#tools")


@admin.register(Refusal)
class RefusalAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = ("last_at", "code", "address", "tool", "count", "reason", "user_agent", "log_id")
    list_filter = ("code", "hour")
    search_fields = ("address", "tool", "log_id", "request_id")
    search_help_text = _("address, tool, Coze log id or request id")


@admin.register(BridgeChat)
class BridgeChatAdmin(LargeTableMixin, ReadOnlyAdmin):
    """Chats that the local plugin bridge leads. They are asked for with `manage.py coze_bridge`."""

    list_display = ("id", "created_at", "state", "coze_status", "question", "tool_calls", "chat_id", "ended_at")
    list_filter = ("state",)
    search_fields = ("chat_id", "conversation_id")
    fieldsets = (
        (None, {"fields": (("state", "coze_status", "tool_calls"), "question", "answer", "error")}),
        (_("At Coze"), {"fields": (("bot_id", "coze_user_id"), ("conversation_id", "chat_id"))}),
        (_("When"), {"fields": (("created_at", "ended_at", "claimed_by", "claimed_until"),)}),
    )
    readonly_fields = ("claimed_by", "claimed_until")


def _documents(server: str, providers: set[str]) -> list[dict[str, str]]:
    """The import addresses: all tools, then those of one provider each."""
    found = [{"name": str(_("all tools")), "url": f"{server}{naming.PREFIX}/openapi.json"}]
    by_provider = {provider: (group, title) for group, (provider, title) in naming.GROUPS.items()}
    for provider in sorted(providers):
        group, title = by_provider.get(provider, (provider, f"PODI {provider}"))
        found.append({"name": title, "url": f"{server}{naming.PREFIX}/{group}/openapi.json"})
    return found


def _tool_rows(offers: list[services.Offer]) -> list[dict[str, Any]]:
    """Two queries whatever the number of tools."""
    now = timezone.now()
    ids = naming.operation_ids((o.ability.provider, o.ability.capability_key) for o in offers)
    since = now - timedelta(hours=24)
    counted = services.calls().filter(created_at__gte=since).order_by().values("ability_id")
    recent = {
        row["ability_id"]: row
        for row in counted.annotate(
            count=Count("pk"), failed=Count("pk", filter=Q(state=Task.State.FAILED)), last=Max("created_at")
        )
    }
    return [
        {
            "ability": offer.ability,
            "tool": offer.tool,
            "operation_id": ids[offer.ability.provider, offer.ability.capability_key],
            "is_on_trial": offer.tool.is_on_trial(now),
            "rate": settings.COZE_TOOL_RATE_PER_MINUTE
            if offer.tool.rate_per_minute is None
            else offer.tool.rate_per_minute,
            "recent": recent.get(offer.ability.pk, {}),
        }
        for offer in offers
    ]


def _is_proxied(request: HttpRequest) -> bool:
    """Somebody forwarded this page to us whom the settings do not know."""
    peer = parse_address(str(request.META.get("REMOTE_ADDR", "")))
    return bool(request.META.get("HTTP_X_FORWARDED_FOR")) and not is_within(peer, settings.TRUSTED_PROXIES)


def _steps() -> list[dict[str, Any]]:
    texts = (
        (_("Copy the import address"), _("Use the button above; the check beside it must be green.")),
        (
            _("Create a plugin in Coze by import"),
            _("Workspace → Resource library → Plugin → Import. Paste the address, or choose the saved file."),
        ),
        (
            _("Say how PODI knows Coze"),
            _(
                "Authorization: Service, Token / API key; location Header; parameter name Authorization; "
                "token: the word Bearer, a blank, and the service token."
            ),
        ),
        (
            _("Try every tool, without cost"),
            _(
                "Publishing needs one successful trial of every tool that is on. Fill dryRun with true: PODI answers "
                "with a sample and runs nothing."
            ),
        ),
        (_("Publish"), _("Then add the plugin to a bot or a workflow. Long jobs are polled by podi_task_get.")),
    )
    return [
        {"title": title, "text": text, "picture": f"coze_plugin/step-{number}.svg"}
        for number, (title, text) in enumerate(texts, start=1)
    ]
