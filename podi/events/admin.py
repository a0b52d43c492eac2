"""Events and deliveries in the admin: everything can be seen, deliveries can be sent again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.options import ModelAdmin, TabularInline
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from podi.base.admin import ExportAdmin, LargeTableMixin, ReadOnlyAdmin
from podi.base.models import User
from podi.events import keys, services
from podi.events.models import Delivery, DeliveryAttempt, Event

if TYPE_CHECKING:
    _Inline = TabularInline[Any, Any]
    _ListFilter = admin.SimpleListFilter
else:
    _Inline, _ListFilter = TabularInline, admin.SimpleListFilter

RECENT = 2000


def pretty(value: object) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(value, ensure_ascii=False, indent=2))


def owner_link(owner: User | None, list_name: str) -> SafeString | str:
    """The owner's name; a click shows only what is theirs."""
    if owner is None:
        return "–"
    address = reverse(f"admin:events_{list_name}_changelist")
    return format_html('<a href="{}?owner__id__exact={}">{}</a>', address, owner.pk, owner.get_username())


class TopicFilter(_ListFilter):
    """Offers the topics of recent events: asking the whole table for its topics would read all of it."""

    title = _("topic")
    parameter_name = "topic"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        topics = set(Event.objects.order_by("-id").values_list("topic", flat=True)[:RECENT])
        return [(topic, topic) for topic in sorted(topics | ({self.value() or ""} - {""}))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(topic=self.value()) if self.value() else queryset


class OperatorsOnlyFilter(_ListFilter):
    title = _("for whom")
    parameter_name = "audience"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Any:
        return [("operators", _("operators only")), ("owners", _("owners"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(owner__isnull=self.value() == "operators") if self.value() else queryset


@admin.register(Event)
class EventAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = ("created_at", "topic", "subject", "owner_name", "short_payload", "sequence")
    list_select_related = ("owner",)
    list_filter = (TopicFilter, OperatorsOnlyFilter, "created_at")
    search_fields = ("=subject_id",)
    search_help_text = _("The whole id of a task or another subject.")
    ordering = ("-id",)
    fields = ("sequence", "topic", "subject_type", "subject_id", "owner", "created_at", "whole_payload")
    readonly_fields = fields

    @admin.display(description=_("subject"))
    def subject(self, event: Event) -> SafeString:
        """A click shows the history of the subject."""
        address = reverse("admin:events_event_changelist")
        return format_html(
            '<a href="{}?q={}">{} {}</a>', address, event.subject_id, event.subject_type, event.subject_id
        )

    @admin.display(description=_("owner"))
    def owner_name(self, event: Event) -> SafeString | str:
        return owner_link(event.owner, "event")

    @admin.display(description=_("payload"))
    def short_payload(self, event: Event) -> str:
        text = json.dumps(event.payload, ensure_ascii=False)
        return text if len(text) <= 120 else f"{text[:120]}…"

    @admin.display(description=_("payload"))
    def whole_payload(self, event: Event) -> SafeString:
        return pretty(event.payload)


class AttemptInline(_Inline):
    model = DeliveryAttempt
    fields = ("number", "started_at", "duration_ms", "http_status", "error", "answer")
    readonly_fields = fields
    ordering = ("-number",)
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Delivery)
class DeliveryAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = (
        "created_at",
        "state",
        "topic",
        "subject",
        "owner_name",
        "url",
        "attempts",
        "last_status",
        "next_attempt_at",
    )
    list_select_related = ("event", "owner")
    list_filter = ("state", "created_at", "next_attempt_at")
    search_fields = ("id",)
    search_help_text = _("The whole id of a delivery or of a task, or the host of an address.")
    actions = ("send_again",)
    inlines = (AttemptInline,)
    export_fields = ("id", "created_at", "state", "event__topic", "event__subject_id", "owner_id", "url", "attempts",
                     "last_status", "last_error", "next_attempt_at", "delivered_at")  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """One index after the other: an OR over them would read the whole table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        for found in (queryset.filter(pk=term), queryset.filter(event__subject_id=term)):
            if found.exists():
                return found, False
        return queryset.filter(host=term.lower()), False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = [
            "id", "topic", "subject", "owner", "state", "url", "header_names", "attempts", "next_attempt_at",
            "claimed_until", "last_status", "last_error", "created_at", "delivered_at", "whole_body",
        ]  # fmt: skip
        return [*shown, "signing_secret"] if _is_superuser(request) else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    @admin.action(description=_("Send again"), permissions=["view"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        actor = request.user
        assert isinstance(actor, User)
        self.run_each(
            request,
            queryset,
            lambda delivery: services.send_again(actor, delivery.pk),
            done=ngettext_lazy(
                "%(count)d delivery is due again.",
                "%(count)d deliveries are due again.",
                "count",
            ),
        )

    @admin.display(description=_("topic"))
    def topic(self, delivery: Delivery) -> str:
        return delivery.event.topic

    @admin.display(description=_("subject"))
    def subject(self, delivery: Delivery) -> SafeString:
        event = delivery.event
        address = reverse("admin:events_event_change", args=(event.pk,))
        return format_html('<a href="{}">{} {}</a>', address, event.subject_type, event.subject_id)

    @admin.display(description=_("owner"))
    def owner_name(self, delivery: Delivery) -> SafeString | str:
        return owner_link(delivery.owner, "delivery")

    @admin.display(description=_("headers of the caller"))
    def header_names(self, delivery: Delivery) -> str:
        """Names only: the values may be secrets of the caller."""
        return ", ".join(f"{name}: ••••" for name in delivery.headers) or "–"

    @admin.display(description=_("body"))
    def whole_body(self, delivery: Delivery) -> SafeString:
        try:
            return pretty(json.loads(delivery.body))
        except ValueError:
            return format_html("<pre>{}</pre>", delivery.body)

    @admin.display(description=_("signing secret of the owner"))
    def signing_secret(self, delivery: Delivery) -> str:
        return keys.current_secret(delivery.owner_id).secret if delivery.owner_id else "–"


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
