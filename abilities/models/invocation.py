"""An invocation: one try of a task on one executor, and the row of the call log."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from abilities.models.ability import Ability
from abilities.models.task import Task
from executors.models import ApiKey, Executor


class Invocation(models.Model):
    """One try. `step` is where the machinery stands; `status` is the contract's word for the log."""

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        SUCCESS = "success", _("success")
        FAILED = "failed", _("failed")
        INTERRUPTED = "interrupted", _("interrupted")
        CANCELLED = "cancelled", _("cancelled")

    class Step(models.TextChoices):
        SENDING = "sending", _("sending")
        WAITING = "waiting", _("waiting for the provider")
        COLLECTING = "collecting", _("storing the results")
        CLOSED = "closed", _("closed")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="invocations", verbose_name=_("task"))
    attempt = models.PositiveIntegerField(_("attempt"))
    ability = models.ForeignKey(
        Ability, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("ability")
    )
    ability_provider = models.CharField(_("provider"), max_length=64)
    capability_key = models.CharField(_("capability key"), max_length=64)
    ability_name = models.CharField(_("ability name"), max_length=128, blank=True, default="")
    executor = models.ForeignKey(
        Executor, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("executor")
    )
    executor_name = models.CharField(_("executor name"), max_length=128, blank=True, default="")
    executor_type = models.CharField(_("executor type"), max_length=64, blank=True, default="")
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("API key")
    )
    source = models.CharField(_("source"), max_length=32)
    request_id = models.CharField(_("request id"), max_length=64)
    trace_id = models.CharField(_("trace id"), max_length=64, blank=True, default="")
    workflow_run_id = models.CharField(_("workflow run id"), max_length=64, blank=True, default="")

    status = models.CharField(_("status"), max_length=32, choices=Status.choices, default=Status.PENDING)
    step = models.CharField(_("step"), max_length=16, choices=Step.choices, default=Step.SENDING)
    ref = models.CharField(_("provider's id"), max_length=191, blank=True, default="")
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    """Until when some process answers for this row; past it, another may take over."""
    next_poll_at = models.DateTimeField(_("next poll"), null=True, blank=True)
    poll_mark = models.CharField(max_length=32, blank=True, default="", editable=False)
    """Which pass of which poller took this row last."""
    miss_count = models.PositiveIntegerField(_("times not found"), default=0)
    store_count = models.PositiveIntegerField(_("tries to store"), default=0)
    pending_outputs = models.JSONField(null=True, blank=True, editable=False)
    """The provider's outputs as locators, from the final report until they are stored."""

    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    accepted_at = models.DateTimeField(_("accepted at"), null=True, blank=True)
    ran_at = models.DateTimeField(_("running since"), null=True, blank=True)
    done_at = models.DateTimeField(_("provider done at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True, blank=True)

    routing = models.JSONField(_("routing"), null=True, blank=True)
    request_payload = models.JSONField(_("request"), null=True, blank=True)
    response_payload = models.JSONField(_("answer"), null=True, blank=True)
    result_assets = models.JSONField(_("results"), null=True, blank=True)
    stored_url = models.CharField(_("stored at"), max_length=512, blank=True, default="")
    error_code = models.CharField(_("error code"), max_length=128, blank=True, default="")
    error_message = models.TextField(_("error"), blank=True, default="")

    billing_unit = models.CharField(_("billing unit"), max_length=32, blank=True, default="")
    quantity = models.DecimalField(_("quantity"), max_digits=14, decimal_places=4, null=True, blank=True)
    unit_price = models.DecimalField(_("unit price"), max_digits=10, decimal_places=4, null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=16, blank=True, default="")
    cost_amount = models.DecimalField(_("cost"), max_digits=14, decimal_places=4, null=True, blank=True)

    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "ability_invocation_logs"
        verbose_name = _("invocation")
        verbose_name_plural = _("invocations")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["task", "attempt"], name="invocation_attempt_once")]
        indexes = [
            models.Index(fields=["step", "next_poll_at"], name="invocations_due"),
            models.Index(fields=["step", "claimed_until"], name="invocations_claims"),
            models.Index(fields=["ability", "created_at"], name="invocations_ability"),
            models.Index(fields=["ability_provider", "capability_key", "created_at"], name="invocations_key"),
            models.Index(fields=["executor", "created_at"], name="invocations_executor"),
            models.Index(fields=["trace_id"], name="invocations_trace"),
            models.Index(fields=["created_at"], name="invocations_created"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.capability_key} {self.get_status_display()}"
