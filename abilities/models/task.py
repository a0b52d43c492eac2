"""A task: one request for an ability. It has the state, and only `abilities.lifecycle` moves it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from abilities.models.ability import Ability
from executors.models import Executor
from media.models import Asset
from podi.base.fields import EncryptedJSONField
from podi.base.ids import new_id
from podi.base.models import ApiToken


class Task(models.Model):
    """One request for an ability, whichever door it came through (`source`)."""

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    TERMINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

    class Source(models.TextChoices):
        API = "ability-api", _("API, at once")
        TASK = "ability-task", _("API, as a task")
        ADMIN = "admin-test", _("test panel")
        WORKFLOW = "workflow-trigger", _("workflow trigger")
        COZE = "coze", "Coze"
        BUSINESS = "tasks-v1", _("business task")
        SELF_CHECK = "self-check", _("self-check")

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    ability = models.ForeignKey(
        Ability, on_delete=models.PROTECT, null=True, related_name="tasks", verbose_name=_("ability")
    )
    ability_name = models.CharField(_("ability name"), max_length=128, blank=True, default="")
    ability_version = models.CharField(_("version"), max_length=32, default="v1")
    provider = models.CharField(_("provider"), max_length=64)
    capability_key = models.CharField(_("capability key"), max_length=64, blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("owner")
    )
    api_token = models.ForeignKey(
        ApiToken, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("API token")
    )
    source = models.CharField(_("source"), max_length=32, choices=Source.choices, default=Source.TASK)
    retry_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries", verbose_name=_("retry of")
    )

    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.QUEUED)
    priority = models.SmallIntegerField(_("priority"), default=0)
    progress = models.FloatField(_("progress"), default=0)
    attempt = models.PositiveIntegerField(_("attempts"), default=0)
    """Rises with every claim; it is the fence: who carries an older number writes nothing."""
    max_attempts = models.PositiveIntegerField(_("attempts at most"), default=3)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    deadline_at = models.DateTimeField(_("deadline"))
    cancel_requested_at = models.DateTimeField(_("cancel asked at"), null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True, editable=False)
    """When a worker was last rung for this task: to take it, or to stop it."""
    is_parked = models.BooleanField(default=False, editable=False)
    """Queued, and a worker that was rung found no slot: whoever gives one back rings for it."""
    executor = models.ForeignKey(
        Executor, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("executor")
    )
    wanted_executor_id = models.CharField(_("asked for executor"), max_length=64, blank=True, default="")
    avoided_executor_ids = models.JSONField(default=list, blank=True, editable=False)

    inputs = models.JSONField(_("inputs"), default=dict)
    request = models.JSONField(_("request"), default=dict)
    definition = models.JSONField(_("definition"), default=dict)
    """The frozen definition this task runs: a later change of the ability does not reach it."""
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    result = models.JSONField(_("result"), null=True, blank=True)
    error_code = models.CharField(_("error code"), max_length=128, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    is_error_retryable = models.BooleanField(_("retry may help"), default=False)

    request_id = models.CharField(_("request id"), max_length=64, default=new_id)
    trace_id = models.CharField(_("trace id"), max_length=64, blank=True, default="")
    workflow_run_id = models.CharField(_("workflow run id"), max_length=64, blank=True, default="")
    callback_url = models.CharField(_("callback address"), max_length=512, blank=True, default="")
    callback_headers = EncryptedJSONField(default=dict, blank=True)
    hold_id = models.CharField(_("hold"), max_length=160, blank=True, default="")
    price_points = models.PositiveIntegerField(_("price (points)"), default=0)

    created_at = models.DateTimeField(_("created at"))
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "tasks"
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["state", "not_before"], name="tasks_state_due"),
            models.Index(fields=["state", "deadline_at"], name="tasks_state_deadline"),
            models.Index(fields=["owner", "created_at"], name="tasks_owner_created"),
            models.Index(fields=["api_token", "state"], name="tasks_token_state"),
            models.Index(fields=["executor", "state"], name="tasks_executor_state"),
            models.Index(fields=["provider", "state", "created_at"], name="tasks_provider_state"),
            models.Index(fields=["is_parked", "executor", "-priority", "created_at"], name="tasks_parked"),
            models.Index(fields=["ability", "created_at"], name="tasks_ability_created"),
            models.Index(fields=["created_at"], name="tasks_created"),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def is_terminal(self) -> bool:
        return self.state in self.TERMINAL


class TaskAsset(models.Model):
    """A kept file in its part for a task."""

    class Type(models.TextChoices):
        INPUT = "input", _("input")
        OUTPUT = "output", _("output")
        PREVIEW = "preview", _("preview")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="assets", verbose_name=_("task"))
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+", verbose_name=_("asset"))
    asset_type = models.CharField(_("type"), max_length=16, choices=Type.choices)
    field = models.CharField(_("field"), max_length=64, blank=True, default="")
    position = models.PositiveIntegerField(_("position"), default=0)
    tag = models.CharField(_("tag"), max_length=64, blank=True, default="")
    source_url = models.TextField(_("source address"), blank=True, default="")
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)

    class Meta:
        db_table = "task_assets"
        verbose_name = _("file of a task")
        verbose_name_plural = _("files of tasks")
        ordering = ["task", "asset_type", "position"]
        constraints = [
            models.UniqueConstraint(fields=["task", "asset_type", "field", "position"], name="task_asset_once")
        ]

    def __str__(self) -> str:
        return f"{self.get_asset_type_display()} {self.position} · {self.task_id}"
