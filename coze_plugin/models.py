"""What an operator decides about a tool, and who was turned away. The calls themselves are tasks of `abilities`."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from abilities.models import Ability


class Tool(models.Model):
    """An ability as Coze may use it. An ability without a row is offered, to everybody trusted, at the usual rate."""

    ability = models.OneToOneField(
        Ability, on_delete=models.CASCADE, primary_key=True, related_name="+", verbose_name=_("ability")
    )
    is_exposed = models.BooleanField(_("offered to Coze"), default=True)
    rate_per_minute = models.PositiveIntegerField(
        _("calls per minute"),
        null=True,
        blank=True,
        help_text=_("Empty: COZE_TOOL_RATE_PER_MINUTE. 0: no limit."),
    )
    allowed_networks = models.JSONField(
        _("allowed addresses"),
        default=list,
        blank=True,
        help_text=_("One address or CIDR range a line; who calls from elsewhere is refused. Empty: no further limit."),
    )
    trial_until = models.DateTimeField(
        _("trial until"),
        null=True,
        blank=True,
        help_text=_("Until then every call of this tool gets a sample and nothing is run."),
    )
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "coze_tools"
        verbose_name = _("Coze tool")
        verbose_name_plural = _("Coze tools")
        ordering = ["ability"]

    def __str__(self) -> str:
        return str(self.ability_id)

    def is_on_trial(self, now: datetime) -> bool:
        return self.trial_until is not None and now < self.trial_until


class Refusal(models.Model):
    """Calls that were turned away: one row per address, reason, tool and hour, so that a flood stays small."""

    hour = models.DateTimeField(_("hour"))
    address = models.CharField(_("address"), max_length=45)
    code = models.CharField(_("code"), max_length=64)
    tool = models.CharField(_("tool"), max_length=140)
    reason = models.TextField(_("reason"), blank=True, default="")
    count = models.PositiveIntegerField(_("times"), default=1)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True, default="")
    log_id = models.CharField(_("Coze log id"), max_length=64, blank=True, default="")
    request_id = models.CharField(_("request id"), max_length=64, blank=True, default="")
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("last"))

    class Meta:
        db_table = "coze_refusals"
        verbose_name = _("refused Coze call")
        verbose_name_plural = _("refused Coze calls")
        ordering = ["-last_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["hour", "address", "code", "tool"], name="coze_refusal_once_an_hour")
        ]
        indexes = [models.Index(fields=["last_at"], name="coze_refusals_last")]

    def __str__(self) -> str:
        return f"{self.code} {self.address} {self.tool}"


class BridgeChat(models.Model):
    """A chat that PODI opens with a bot, to run the bot's local tools. The row is what a dead process leaves behind."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        OPEN = "open", _("open")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    bot_id = models.CharField(_("bot"), max_length=64)
    coze_user_id = models.CharField(_("user at Coze"), max_length=128)
    question = models.TextField(_("question"))
    conversation_id = models.CharField(_("conversation"), max_length=64, blank=True, default="")
    chat_id = models.CharField(_("chat"), max_length=64, blank=True, default="", db_index=True)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.WAITING)
    coze_status = models.CharField(_("Coze's word for it"), max_length=32, blank=True, default="")
    tool_calls = models.PositiveIntegerField(_("tool calls answered"), default=0)
    answer = models.TextField(_("answer"), blank=True, default="")
    error = models.TextField(_("error"), blank=True, default="")
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    claimed_by = models.CharField(max_length=64, blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        db_table = "coze_bridge_chats"
        verbose_name = _("chat of the bridge")
        verbose_name_plural = _("chats of the bridge")
        ordering = ["-id"]
        indexes = [models.Index(fields=["state", "claimed_until"], name="coze_bridge_chats_due")]

    def __str__(self) -> str:
        return f"{self.pk} {self.chat_id or self.state}"
