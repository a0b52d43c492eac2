"""The admin of the wallet: it shows, and grants or gives back with a reason. It never edits."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from podi.base.admin import ExportAdmin, LargeTableMixin, ReadOnlyAdmin
from wallet.admin import pages
from wallet.forms import MAX_OWNERS
from wallet.models import Account, AuditRun, Hold, Transfer


def link(view: str, label: Any, **query: str) -> SafeString:
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:{view}"), urlencode(query), label)


def name_owner(account: Account) -> str:
    return account.owner.get_username() if account.owner else account.get_kind_display()


@admin.register(Account)
class AccountAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = ("owner_name", "kind", "balance", "held", "updated_at", "rows")
    list_filter = ("kind", "updated_at")
    list_select_related = ("owner",)
    search_fields = ("owner__username", "owner__email", "owner__id", "id")
    fields = ("id", "kind", "owner", "balance", "held", "rows", "chart", "created_at", "updated_at")
    readonly_fields = ("rows", "chart")
    actions = ("grant_points",)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("grant/", self.admin_site.admin_view(self.show_grant), name="wallet_account_grant"),
            path("statistics/", self.admin_site.admin_view(self.show_statistics), name="wallet_account_statistics"),
        ]
        return [*own, *super().get_urls()]

    def show_grant(self, request: HttpRequest) -> HttpResponse:
        return pages.grant_page(request, self)

    def show_statistics(self, request: HttpRequest) -> HttpResponse:
        return pages.statistics_page(request, self)

    @admin.display(description=_("owner"), ordering="owner__username")
    def owner_name(self, account: Account) -> str:
        return name_owner(account)

    @admin.display(description=_("moves"))
    def rows(self, account: Account) -> SafeString | str:
        if account.kind != Account.Kind.CUSTOMER:
            return ""
        return format_html(
            "{} · {}",
            link("wallet_transfer_changelist", _("transfers"), account__id__exact=account.pk),
            link("wallet_hold_changelist", _("holds"), account__id__exact=account.pk),
        )

    @admin.display(description=_("last thirty days"))
    def chart(self, account: Account) -> Any:
        return pages.draw_account(account) if account.kind == Account.Kind.CUSTOMER else ""

    def has_grant_permission(self, request: HttpRequest) -> bool:
        return pages.may_move_points(request)

    @admin.action(description=_("Grant points"), permissions=["grant"])
    def grant_points(self, request: HttpRequest, queryset: QuerySet[Account]) -> HttpResponse:
        owners = queryset.filter(kind=Account.Kind.CUSTOMER).values_list("owner_id", flat=True)[:MAX_OWNERS]
        query = urlencode([("owner", owner) for owner in owners])
        return HttpResponseRedirect(f"{reverse('admin:wallet_account_grant')}?{query}")


@admin.register(Hold)
class HoldAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = (
        "reference",
        "owner_name",
        "points",
        "state",
        "deducted",
        "subject_id",
        "action",
        "expires_at",
        "is_expired",
        "created_at",
    )
    list_filter = ("state", "is_external", "is_expired", "created_at")
    list_select_related = ("account__owner",)
    search_fields = ("id", "reference", "subject_id", "account__owner__username", "account__owner__id")
    fields = (
        "id",
        "reference",
        "account",
        "points",
        "state",
        "deducted",
        ("subject_type", "subject_id"),
        "action",
        "channel",
        "key",
        "is_external",
        "created_at",
        "expires_at",
        "settled_at",
        "is_expired",
    )

    @admin.display(description=_("owner"), ordering="account__owner__username")
    def owner_name(self, hold: Hold) -> str:
        return name_owner(hold.account)


@admin.register(Transfer)
class TransferAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    list_display = (
        "id",
        "created_at",
        "owner_name",
        "kind",
        "moved",
        "owned_after",
        "subject_id",
        "action",
        "reason",
        "actor",
        "back",
    )
    list_filter = ("kind", "created_at")
    list_select_related = ("account__owner", "actor")
    search_fields = ("=id", "subject_id", "key", "reason", "account__owner__username", "account__owner__id")
    fields = (
        "id",
        "kind",
        "account",
        ("source", "target"),
        "points",
        ("owned_before", "owned_after"),
        "hold",
        "refund_of",
        ("subject_type", "subject_id"),
        "action",
        "channel",
        "reason",
        "actor",
        "key",
        "created_at",
        "back",
    )
    readonly_fields = ("back",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.show_refund)
        return [path("<int:transfer_id>/refund/", view, name="wallet_transfer_refund"), *super().get_urls()]

    def show_refund(self, request: HttpRequest, transfer_id: int) -> HttpResponse:
        return pages.refund_page(request, self, transfer_id)

    @admin.display(description=_("owner"), ordering="account__owner__username")
    def owner_name(self, row: Transfer) -> str:
        return name_owner(row.account)

    @admin.display(description=_("points"), ordering="points")
    def moved(self, row: Transfer) -> str:
        return f"{row.signed_points:+d}"

    @admin.display(description=_("correct"))
    def back(self, row: Transfer) -> SafeString | str:
        if row.kind in (Transfer.Kind.REFUND, Transfer.Kind.CORRECTION):
            return ""
        label = _("give back") if row.kind == Transfer.Kind.CHARGE else _("take back")
        return format_html('<a href="{}">{}</a>', reverse("admin:wallet_transfer_refund", args=[row.pk]), label)


@admin.register(AuditRun)
class AuditRunAdmin(ExportAdmin, ReadOnlyAdmin):
    list_display = ("started_at", "day", "finished_at", "accounts", "open_holds", "transfers", "difference_count")
    list_filter = ("difference_count", "started_at")
    fields = (*list_display, "differences")
