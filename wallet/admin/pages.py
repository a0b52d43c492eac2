"""The wallet's own admin pages: granting, giving back, and the statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from podi.base.errors import PodiError
from podi.base.models import User
from wallet import services as wallet
from wallet.admin.chart import draw_days, draw_legend
from wallet.forms import GrantForm, MoveForm
from wallet.models import Account, Transfer

ADD_TRANSFER = "wallet.add_transfer"


def may_move_points(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.has_perm(ADD_TRANSFER)


def _mover(request: HttpRequest) -> User:
    if not isinstance(request.user, User) or not may_move_points(request):
        raise PermissionDenied
    return request.user


def _render(request: HttpRequest, model_admin: ModelAdmin[Any], template: str, **context: Any) -> TemplateResponse:
    shared = {**admin.site.each_context(request), "opts": model_admin.model._meta, "media": model_admin.media}
    return TemplateResponse(request, template, {**shared, **context})


def grant_page(request: HttpRequest, model_admin: ModelAdmin[Any]) -> HttpResponse:
    """`?owner=<id>` (several times) chooses users beforehand."""
    actor = _mover(request)
    form = GrantForm(request.POST or None, initial={"owners": request.GET.getlist("owner")})
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        if _try(request, form, lambda: _grant_all(actor, values)):
            count = len(values["owners"])
            done = ngettext(
                "%(points)d points were granted to %(count)d user.",
                "%(points)d points were granted to %(count)d users.",
                count,
            )
            messages.success(request, done % {"points": values["points"], "count": count})
            return HttpResponseRedirect(reverse("admin:wallet_account_changelist"))
    media = model_admin.media + form.media
    return _render(request, model_admin, "wallet/move.html", form=form, title=_("Grant points"), media=media)


def _grant_all(actor: User, values: dict[str, Any]) -> None:
    with transaction.atomic():  # all or nobody: a form that is sent again must mean the same
        for owner in sorted(values["owners"], key=lambda user: str(user.pk)):
            key = f"{values['key']}:{owner.pk}"
            wallet.grant(actor, owner_id=owner.pk, points=values["points"], reason=values["reason"], key=key)


def refund_page(request: HttpRequest, model_admin: ModelAdmin[Any], transfer_id: int) -> HttpResponse:
    """Give a charge back, or take a grant back, in whole or in part."""
    actor = _mover(request)
    original = get_object_or_404(Transfer.objects.select_related("account__owner"), pk=transfer_id)
    form = MoveForm(request.POST or None, initial={"points": original.points})
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        if _try(request, form, lambda: wallet.refund(actor, transfer_id=original.pk, **values)):
            messages.success(request, _("%(points)d points were moved back.") % {"points": values["points"]})
            return HttpResponseRedirect(reverse("admin:wallet_transfer_changelist"))
    title = _("Give back") if original.kind == Transfer.Kind.CHARGE else _("Take back")
    return _render(request, model_admin, "wallet/move.html", form=form, title=title, original=original)


def _try(request: HttpRequest, form: MoveForm, command: Callable[[], object]) -> bool:
    try:
        command()
    except PodiError as refusal:
        form.add_error(None, str(refusal.text))
        return False
    return True


def statistics_page(request: HttpRequest, model_admin: ModelAdmin[Any]) -> HttpResponse:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    found = wallet.overview()
    return _render(
        request,
        model_admin,
        "wallet/statistics.html",
        title=_("Points"),
        found=found,
        chart=draw_days(found.days),
        legend=draw_legend(),
        may_move=may_move_points(request),
    )


def draw_account(account: Account) -> Any:
    """The chart on an account's page."""
    return draw_days(wallet.statistics(str(account.owner_id)).days)
