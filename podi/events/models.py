"""Facts that happened, and each sending of one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from podi.base.fields import EncryptedJSONField
from podi.base.ids import new_id


class Event(models.Model):
    """One fact. Rows never change but for `sequence`, the number a stream resumes from.

    Ids are given at insert and seen at commit, so id 7 can appear after id 8 was read; `sequence` is given only to
    committed rows, by one sequencer, and is therefore free of such gaps.
    """

    sequence = models.BigIntegerField(_("sequence"), null=True, unique=True, editable=False)
    topic = models.CharField(_("topic"), max_length=64)
    subject_type = models.CharField(_("subject type"), max_length=32)
    subject_id = models.CharField(_("subject"), max_length=64)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    payload = models.JSONField(_("payload"), default=dict)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "events"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject_id", "subject_type", "id"], name="events_subject"),
            models.Index(fields=["owner", "sequence"], name="events_owner_sequence"),
            models.Index(fields=["created_at"], name="events_created"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.subject_id}"


class EventCounter(models.Model):
    """One row (id 1): the last sequence given out. Taking this row by UPDATE makes the sequencer one at a time."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    value = models.BigIntegerField(default=0)
    swept_through = models.BigIntegerField(default=0)
    """The highest sequence that retention has deleted: who resumes from before it has missed something."""

    class Meta:
        db_table = "event_counter"

    def __str__(self) -> str:
        return str(self.value)


class WebhookKey(models.Model):
    """How often an owner's signing secret was changed; no row means never. Secrets are derived, not stored."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+")
    generation = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "webhook_keys"

    def __str__(self) -> str:
        return f"{self.owner_id} #{self.generation}"


class Delivery(models.Model):
    """One event on its way to one address, until it arrives or is given up.

    `body` is the exact text that is signed and sent, on every attempt. `attempts` only grows; those above
    `attempts_before` belong to the current round (a manual resend starts a new round).
    """

    class State(models.TextChoices):
        PENDING = "pending", _("due")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("given up")

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("event"))
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    url = models.CharField(_("address"), max_length=512)
    host = models.CharField(_("host"), max_length=255, default="", editable=False)
    headers = EncryptedJSONField(default=dict, blank=True)
    body = models.TextField(_("body"), default="{}")
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    attempts_before = models.PositiveIntegerField(default=0, editable=False)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    last_status = models.PositiveIntegerField(_("last HTTP status"), null=True, blank=True)
    last_error = models.TextField(_("last error"), blank=True, default="")
    delivered_at = models.DateTimeField(_("delivered at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "deliveries"
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "next_attempt_at"], name="deliveries_due"),
            models.Index(fields=["owner", "created_at"], name="deliveries_owner_created"),
            models.Index(fields=["created_at"], name="deliveries_created"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.url}"


class DeliveryAttempt(models.Model):
    """One try of a delivery: what was answered, how long it took."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log", verbose_name=_("delivery"))
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started at"))
    duration_ms = models.PositiveIntegerField(_("duration (ms)"))
    http_status = models.PositiveIntegerField(_("HTTP status"), null=True, blank=True)
    answer = models.TextField(_("answer"), blank=True, default="")
    error = models.TextField(_("error"), blank=True, default="")

    class Meta:
        db_table = "delivery_attempts"
        verbose_name = _("delivery attempt")
        verbose_name_plural = _("delivery attempts")
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"
