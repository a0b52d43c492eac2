"""Tasks: a list to find one among millions, and a page that shows its whole life while it happens."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from django.views.decorators.http import require_POST

from abilities import services
from abilities.admin import showing
from abilities.admin.filters import AbilityFilter, ExecutorFilter, ProviderFilter, SourceFilter, WhenFilter
from abilities.admin.rendering import admin_link, duration, moment, pill, short
from abilities.models import Invocation, Task, TaskAsset
from podi.base.admin import ExportAdmin, LargeTableMixin, ReadOnlyAdmin
from podi.base.admin.accounts import acting
from podi.base.errors import PodiError
from podi.base.ids import decode_task_id
from podi.base.models import User
from podi.events import services as events

_HEAVY = ("inputs", "request", "definition", "metadata", "result", "callback_headers", "error_message")


@admin.register(Task)
class TaskAdmin(LargeTableMixin, ExportAdmin, ReadOnlyAdmin):
    change_form_template = "admin/abilities/task/change_form.html"
    list_display = (
        "picture",
        "shown_id",
        "shown_state",
        "shown_ability",
        "owner",
        "source",
        "shown_executor",
        "shown_attempt",
        "age",
        "took",
        "points",
    )
    list_display_links = ("shown_id",)
    sortable_by = ("shown_id", "age")  # by index: any other order would sort the whole table
    list_filter = ("state", WhenFilter, ProviderFilter, SourceFilter, AbilityFilter, ExecutorFilter)
    list_select_related = ("owner", "executor", "ability")
    search_fields = ("id",)
    search_help_text = _("task id (also t1.…), trace id, request id, or owner")
    actions = ("cancel_tasks", "retry_tasks")
    export_fields = (
        "id",
        "state",
        "ability_id",
        "ability_name",
        "ability_version",
        "provider",
        "owner_id",
        "source",
        "executor_id",
        "attempt",
        "price_points",
        "error_code",
        "error_message",
        "request_id",
        "trace_id",
        "created_at",
        "started_at",
        "finished_at",
    )

    def get_urls(self) -> list[URLPattern]:
        def view(route: str, function: Any, name: str) -> Any:
            return path(f"<str:pk>/{route}/", self.admin_site.admin_view(function), name=f"abilities_task_{name}")

        return [
            view("live", self.live_view, "live"),
            view("cancel", self.cancel_view, "cancel"),
            view("retry", self.retry_view, "retry"),
            view("resend", self.resend_view, "resend"),
            *super().get_urls(),
        ]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list needs neither payloads nor results; one query more brings the small pictures."""
        changelist = super().get_changelist_instance(request)
        pictures = TaskAsset.objects.filter(position=0).select_related("asset")
        rows = changelist.result_list
        changelist.result_list = rows.defer(*_HEAVY).prefetch_related(
            Prefetch("assets", pictures, to_attr="shown_assets")
        )
        return changelist

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Task], search_term: str
    ) -> tuple[QuerySet[Task], bool]:
        """By index only, one kind of id after the other: a scan of millions of rows answers nobody."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if (exact := queryset.filter(pk=decode_task_id(term))).exists():
            return exact, False
        called = Invocation.objects.filter(trace_id=term).values("task_id")
        if (traced := queryset.filter(pk__in=called)).exists():
            return traced, False
        owners = list(User.objects.filter(username__istartswith=term).values_list("pk", flat=True)[:50])
        owners += list(User.objects.filter(email__iexact=term).values_list("pk", flat=True)[:5])
        if owners:
            return queryset.filter(owner_id__in=owners), False
        started = queryset.filter(pk__startswith=term.lower()) if len(term) >= 6 else queryset.none()
        if started.exists():
            return started, False
        return queryset.filter(request_id=term) | queryset.filter(trace_id=term), False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("abilities.change_task")

    # The page of one task

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        task = self._task(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            **showing.show_task(acting(request), task),
            "opts": self.opts,
            "original": task,
            "title": task.ability_name or task.capability_key,
            "may_operate": self.has_operate_permission(request),
            "is_foreign": task.owner_id != request.user.pk,
        }
        return render(request, self.change_form_template, context)

    def live_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        """A part of a page, drawn anew: `part=result` for the test panel, else the body of the task page."""
        task = self._task(request, pk)
        if request.GET.get("part") == "result":
            context, template = showing.show_result(task), "abilities/result.html"
        else:
            context, template = showing.show_task(acting(request), task), "abilities/task.html"
        context["may_operate"] = self.has_operate_permission(request)
        response = render(request, template, context)
        response["X-Task-Final"] = "1" if task.is_terminal else "0"
        return response

    @method_decorator(require_POST)
    def cancel_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        task = self._task_to_operate(request, pk)
        try:
            cancelled = services.cancel_task(acting(request), task)
        except PodiError as error:
            self.message_user(request, str(error.text), messages.ERROR)
        else:
            is_done = cancelled.state == Task.State.CANCELLED
            done = _("The task is cancelled.") if is_done else _("The provider was asked to stop it.")
            self.message_user(request, str(done), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:abilities_task_change", args=[task.pk]))

    @method_decorator(require_POST)
    def retry_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        task = self._task_to_operate(request, pk)
        try:
            task = services.retry_task(acting(request), task).task
        except PodiError as error:
            self.message_user(request, str(error.text), messages.ERROR)
        else:
            self.message_user(request, str(_("This is the new task.")), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:abilities_task_change", args=[task.pk]))

    @method_decorator(require_POST)
    def resend_view(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Start a new round of attempts for one of this task's callbacks."""
        task = self._task_to_operate(request, pk)
        try:
            delivery = events.deliveries_of(("task", task.pk)).filter(pk=request.POST.get("delivery", "")).first()
            events.send_again(acting(request), delivery.pk if delivery else "")
        except PodiError as error:
            self.message_user(request, str(error.text), messages.ERROR)
        else:
            self.message_user(request, str(_("The callback is on its way again.")), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:abilities_task_change", args=[task.pk]))

    def _task(self, request: HttpRequest, pk: str) -> Task:
        rows = Task.objects.select_related("ability", "executor", "owner", "api_token", "retry_of")
        task = rows.filter(pk=decode_task_id(pk)).first()
        if task is None:
            raise Http404
        if not self.has_view_permission(request, task):
            raise PermissionDenied
        return task

    def _task_to_operate(self, request: HttpRequest, pk: str) -> Task:
        task = self._task(request, pk)
        if not self.has_operate_permission(request):
            raise PermissionDenied
        return task

    # Actions on the list

    @admin.action(description=_("Cancel"), permissions=["operate"])
    def cancel_tasks(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        actor = acting(request)
        self.run_each(
            request,
            queryset,
            lambda task: bool(services.cancel_task(actor, task)),
            done=ngettext_lazy(
                "%(count)d task: cancel asked.",
                "%(count)d tasks: cancel asked.",
                "count",
            ),
        )

    @admin.action(description=_("Try again as new tasks"), permissions=["operate"])
    def retry_tasks(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        actor = acting(request)
        self.run_each(
            request,
            queryset.select_related("ability", "owner"),
            lambda task: bool(services.retry_task(actor, task)),
            done=ngettext_lazy(
                "%(count)d new task.",
                "%(count)d new tasks.",
                "count",
            ),
        )

    # Columns

    @admin.display(description="", empty_value="")
    def picture(self, task: Task) -> SafeString | str:
        url = showing.first_thumbnail(getattr(task, "shown_assets", ()))
        if not url:
            return ""
        return format_html('<img class="podi-thumb" src="{}" alt="" loading="lazy">', url)

    @admin.display(description=_("task"), ordering="id")
    def shown_id(self, task: Task) -> SafeString:
        return short(task.id)

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, task: Task) -> SafeString:
        label = task.get_state_display()
        if task.state == Task.State.RUNNING and task.progress:
            label = f"{label} {round(task.progress * 100)} %"
        found = pill(task.state, label)
        if task.error_code and task.state == Task.State.FAILED:
            found = format_html('{}<div class="podi-code">{}</div>', found, task.error_code)
        return found

    @admin.display(description=_("ability"))
    def shown_ability(self, task: Task) -> SafeString | str:
        return format_html(
            '{}<div class="podi-quiet">{} · {}</div>',
            task.ability_name or task.capability_key,
            task.provider,
            task.ability_version,
        )

    @admin.display(description=_("executor"))
    def shown_executor(self, task: Task) -> SafeString | str:
        return admin_link(task.executor)

    @admin.display(description=_("tries"), ordering="attempt")
    def shown_attempt(self, task: Task) -> str:
        return f"{task.attempt}/{task.max_attempts}"

    @admin.display(description=_("created"), ordering="created_at")
    def age(self, task: Task) -> SafeString | str:
        return moment(task.created_at)

    @admin.display(description=_("duration"))
    def took(self, task: Task) -> str:
        until = task.finished_at or timezone.now()
        return duration((until - task.created_at).total_seconds() * 1000)

    @admin.display(description=_("points"), ordering="price_points")
    def points(self, task: Task) -> int:
        return task.price_points
