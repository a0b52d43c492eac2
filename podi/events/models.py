"""Facts that happened, and each sending of one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from podi.base.fields import EncryptedJSONField, EncryptedTextField
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
            models.Index(fields=["subject_type", "subject_id", "id"], name="events_subject"),
            models.Index(fields=["owner", "sequence"], name="events_owner_sequence"),
            models.Index(fields=["created_at"], name="events_created"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.subject_id}"


class Delivery(models.Model):
    """One event on its way to one address, until it arrives or is given up."""

    class State(models.TextChoices):
        PENDING = "pending", _("due")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("given up")

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("event"))
    url = models.CharField(_("address"), max_length=512)
    headers = EncryptedJSONField(default=dict, blank=True)
    secret = EncryptedTextField(blank=True, default="")
    body = models.JSONField(_("body"), default=dict)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
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
        indexes = [models.Index(fields=["state", "next_attempt_at"], name="deliveries_due")]

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
