"""The test panel of an ability: a form from its input schema, and a real task from what was filled in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from abilities import forms, services
from abilities.admin import showing
from abilities.admin.rendering import duration, money, pretty_json
from abilities.models import Ability, Invocation, Task, TaskAsset
from executors import services as executors
from executors.models import Executor
from media.models import Asset
from podi.base.admin.accounts import acting
from podi.base.errors import PodiError
from podi.base.ids import decode_task_id
from podi.base.phrases import tell, tell_all

if TYPE_CHECKING:
    _ModelAdmin = ModelAdmin[Ability]
else:
    _ModelAdmin = ModelAdmin

SHOWN_RUNS = 12


class TestPanel(_ModelAdmin):
    """Mixed into the admin of abilities: adds `<id>/test/`, `<id>/test/run/` and `<id>/test/runs/`."""

    def get_urls(self) -> list[URLPattern]:
        def view(route: str, function: Any, name: str) -> Any:
            return path(f"<str:pk>/{route}/", self.admin_site.admin_view(function), name=f"abilities_ability_{name}")

        return [
            view("test", self.panel_view, "test"),
            view("test/run", self.run_view, "run"),
            view("test/runs", self.runs_view, "runs"),
            *super().get_urls(),
        ]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("abilities.change_ability")

    def panel_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        try:
            ability = self._ability(request, pk)
            needs_executor = executors.provider_class(ability.provider).needs_executor
        except PodiError as error:  # no such version; or a provider that this PODI does not have
            self.message_user(request, str(error.text), "error")
            return HttpResponseRedirect(reverse("admin:abilities_ability_change", args=[pk]))
        earlier = _earlier_run(request.GET.get("from", ""), ability)
        fields = forms.panel_fields(
            ability,
            values=(earlier.inputs.get("values") or {}) if earlier else None,
            kept=_kept_pictures(earlier) if earlier else None,
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": ability.display_name,
            "ability": ability,
            "fields": [{"field": field, "kept": [_kept(asset) for asset in field.kept]} for field in fields],
            "needs_executor": needs_executor,
            "executors": Executor.objects.filter(type=ability.provider)
            .only("id", "name", "status", "health_status", "is_draining")
            .order_by("-status", "name"),
            "chosen_executor": earlier.wanted_executor_id if earlier else "",
            "versions": list(ability.versions.values_list("version", flat=True)),
            "current_version": Ability.objects.values_list("version", flat=True).get(pk=pk),
            "earlier": earlier,
            "runs": recent_runs(ability),
            "invoke_url": f"{settings.PUBLIC_URL}/api/abilities/{ability.pk}/invoke",
            "max_bytes": settings.FETCH_MAX_BYTES,
            "media": self.media,
        }
        return render(request, "admin/abilities/ability/test.html", context)

    @method_decorator(require_POST)
    def run_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        """JSON: where to watch the new task, or the dry run's answer, or what was refused and at which field."""
        self._ability(request, pk)
        try:
            ability = services.find_ability(pk, version=request.POST.get("version", ""))
            call = forms.read_call(ability, request.POST, request.FILES)
            prepared = services.prepare(pk, call, may_choose_inactive=True)
            if request.POST.get("dry_run"):
                return JsonResponse({"html": render_to_string("abilities/dry_run.html", _dry_run(prepared), request)})
            task = services.create_task(acting(request), prepared, source=Task.Source.ADMIN).task
        except PodiError as error:
            return JsonResponse(_refusal(request, error), status=error.status)
        return JsonResponse(
            {
                "taskId": task.pk,
                "live": reverse("admin:abilities_task_live", args=[task.pk]) + "?part=result",
                "page": reverse("admin:abilities_task_change", args=[task.pk]),
            }
        )

    def runs_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        ability = self._ability(request, pk)
        return render(request, "abilities/runs.html", {"runs": recent_runs(ability), "ability": ability})

    def _ability(self, request: HttpRequest, pk: str) -> Ability:
        """In the version that is asked for. Raises AbilityVersionNotFound."""
        if not Ability.objects.filter(pk=pk).exists():
            raise Http404
        if not self.has_run_permission(request):
            raise PermissionDenied
        return services.find_ability(pk, version=request.GET.get("version", ""))


def recent_runs(ability: Ability) -> list[dict[str, Any]]:
    """The last tasks of this ability, through whichever door: by the index of the call log and the one of states."""
    called = Invocation.objects.filter(ability_id=ability.pk).order_by("-created_at")
    ids = set(called.values_list("task_id", flat=True)[:SHOWN_RUNS])
    waiting = Task.objects.filter(ability_id=ability.pk, state=Task.State.QUEUED).order_by("-created_at")
    ids |= set(waiting.values_list("pk", flat=True)[:SHOWN_RUNS])
    tasks = (
        Task.objects.filter(pk__in=ids)
        .defer("request", "definition", "metadata", "result", "callback_headers")
        .select_related("owner", "executor")
        .order_by("-created_at", "-id")[:SHOWN_RUNS]
    )
    rows = TaskAsset.objects.filter(task_id__in=[task.pk for task in tasks], position=0).select_related("asset")
    pictures: dict[str, list[TaskAsset]] = {}
    for row in rows:
        pictures.setdefault(row.task_id, []).append(row)
    return [
        {
            "task": task,
            "thumbnail": showing.first_thumbnail(pictures.get(task.pk, ())),
            "values": _summary(task.inputs.get("values") or {}),
            "duration": duration(_took_ms(task)),
        }
        for task in tasks
    ]


def _took_ms(task: Task) -> float | None:
    return (task.finished_at - task.created_at).total_seconds() * 1000 if task.finished_at else None


def _summary(values: dict[str, Any]) -> str:
    return " · ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())[:300]


def _earlier_run(task_id: str, ability: Ability) -> Task | None:
    return Task.objects.filter(pk=decode_task_id(task_id), ability_id=ability.pk).first() if task_id else None


def _kept_pictures(task: Task) -> dict[str, list[Asset]]:
    found: dict[str, list[Asset]] = {}
    rows = task.assets.select_related("asset").filter(asset_type=TaskAsset.Type.INPUT).order_by("position")
    for row in rows:
        found.setdefault(row.field, []).append(row.asset)
    return found


def _kept(asset: Asset) -> dict[str, Any]:
    return {
        "id": asset.pk,
        "thumbnail": showing.thumbnail_url(asset),
        "name": asset.file_name or asset.object_key.rsplit("/", 1)[-1],
        "facts": " · ".join(showing.file_facts(asset)),
    }


def _dry_run(prepared: services.Prepared) -> dict[str, Any]:
    quote, route = prepared.quote, prepared.route
    chosen = next(iter(route.usable or route.candidates), None) if route else None
    return {
        "prepared": prepared,
        "chosen": chosen,
        "is_waiting": bool(route and not route.usable),
        "routing": route.explanation if route else None,
        "points": quote.points,
        "amount": money(quote.amount, quote.price.currency),
        "unit_price": money(quote.price.unit_price, quote.price.currency),
        "unit": quote.price.unit,
        "quantity": quote.quantity,
        "values": pretty_json(dict(prepared.checked.values)),
        "pictures": [picture.field for picture in prepared.checked.images],
        "ignored": list(prepared.checked.unknown),
    }


def _refusal(request: HttpRequest, error: PodiError) -> dict[str, Any]:
    details = pretty_json({name: value for name, value in error.details.items() if value is not None} or None)
    context: dict[str, Any] = {"code": error.detail, "sentence": tell(error.text)}
    context |= {"details": details if error.details else ""}
    context |= {"can_retry": error.retryable, "fields": tell_all(error.fields)}
    return {
        "code": error.detail,
        "message": tell(error.text) or _("Refused."),
        "fields": tell_all(error.fields),
        "html": render_to_string("abilities/refusal.html", context, request),
    }
