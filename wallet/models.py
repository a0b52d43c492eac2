"""Accounts, holds and transfers. Only `wallet.services` writes them."""

from __future__ import annotations

import hashlib
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from podi.base.ids import new_id
from wallet.errors import TransferImmutable

HOUSE_ISSUE = "house_issue"
HOUSE_REVENUE = "house_revenue"


def digest(key: str) -> str:
    """What a business key is unique by. MySQL compares text without case and accents; a digest is exact everywhere."""
    return hashlib.sha256(key.encode()).hexdigest()


class Account(models.Model):
    """Points of a customer, or of the house.

    A customer owns `balance` (free to use) and `held` (reserved by open holds). A house account carries no figure: what
    it has is added up from the transfers, so that no row is written by all customers at once.
    """

    class Kind(models.TextChoices):
        CUSTOMER = "customer", _("customer")
        ISSUE = "issue", _("house: points issued")
        REVENUE = "revenue", _("house: points earned")

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices, default=Kind.CUSTOMER)
    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="wallet_account",
        verbose_name=_("owner"),
    )
    balance = models.BigIntegerField(_("available points"), default=0)
    held = models.BigIntegerField(_("held points"), default=0)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "wallet_accounts"
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(balance__gte=0), name="wallet_balance_not_negative"),
            models.CheckConstraint(condition=Q(held__gte=0), name="wallet_held_not_negative"),
            models.CheckConstraint(
                condition=Q(kind="customer", owner__isnull=False)
                | (~Q(kind="customer") & Q(owner__isnull=True, balance=0, held=0)),
                name="wallet_house_has_no_figure",
            ),
        ]

    def __str__(self) -> str:
        return str(self.owner_id or self.get_kind_display())

    @property
    def owned(self) -> int:
        return self.balance + self.held


class Hold(models.Model):
    """Points reserved for one purpose until they are confirmed (all or a part) or released."""

    class State(models.TextChoices):
        HELD = "held", _("held")
        CONFIRMED = "confirmed", _("confirmed")
        RELEASED = "released", _("released")

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="holds", verbose_name=_("account"))
    key = models.CharField(_("business key"), max_length=191)
    key_digest = models.CharField(max_length=64, editable=False)
    reference = models.CharField(_("hold id at the API"), max_length=191, unique=True)
    """`hold_<taskId>_<userId>`, to be looked up and never taken apart."""
    points = models.BigIntegerField(_("points"))
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.HELD)
    deducted = models.BigIntegerField(_("deducted"), default=0)
    subject_type = models.CharField(_("for (type)"), max_length=32)
    subject_id = models.CharField(_("for"), max_length=64)
    action = models.CharField(_("action"), max_length=64, blank=True, default="")
    channel = models.CharField(_("channel"), max_length=64, blank=True, default="")
    is_external = models.BooleanField(_("taken at the API"), default=False)
    """Taken by a client, who settles it too. Else PODI's own code does, and the API may not."""
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    is_expired = models.BooleanField(_("released by expiry"), default=False)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "wallet_holds"
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "key_digest"], name="wallet_hold_key_once"),
            models.CheckConstraint(condition=Q(points__gt=0), name="wallet_hold_points_positive"),
            models.CheckConstraint(
                condition=Q(state="confirmed", deducted__gte=0, deducted__lte=F("points")) | Q(deducted=0),
                name="wallet_hold_deducted_within",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "expires_at", "id"], name="wallet_holds_due"),
            models.Index(fields=["account", "state"], name="wallet_holds_open"),
            models.Index(fields=["subject_type", "subject_id"], name="wallet_holds_subject"),
        ]

    def __str__(self) -> str:
        return self.reference


class TransferQuerySet(models.QuerySet["Transfer"]):
    """Adding and reading only."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TransferImmutable

    def delete(self) -> NoReturn:
        raise TransferImmutable

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TransferImmutable


class Transfer(models.Model):
    """Whole points that went from one account to another. Never changed, never deleted."""

    class Kind(models.TextChoices):
        SIGNUP = "signup", _("signup gift")
        GRANT = "grant", _("grant")
        CHARGE = "charge", _("charge")
        REFUND = "refund", _("refund")
        CORRECTION = "correction", _("grant taken back")

    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    source = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", verbose_name=_("from"))
    target = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", verbose_name=_("to"))
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="transfers", verbose_name=_("customer's account")
    )
    """The one side of the two that is a customer: whose statement shows this row."""
    points = models.BigIntegerField(_("points"))
    owned_before = models.BigIntegerField(_("owned before"))
    owned_after = models.BigIntegerField(_("owned after"))
    key = models.CharField(_("business key"), max_length=191)
    key_digest = models.CharField(max_length=64, unique=True, editable=False)
    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, null=True, blank=True, related_name="transfers", verbose_name=_("hold")
    )
    refund_of = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="refunds", verbose_name=_("gives back")
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    reason = models.CharField(_("reason"), max_length=255, blank=True, default="")
    subject_type = models.CharField(_("for (type)"), max_length=32, blank=True, default="")
    subject_id = models.CharField(_("for"), max_length=64, blank=True, default="")
    action = models.CharField(_("action"), max_length=64, blank=True, default="")
    channel = models.CharField(_("channel"), max_length=64, blank=True, default="")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = TransferQuerySet.as_manager()

    class Meta:
        db_table = "wallet_transfers"
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        ordering = ["-id"]
        base_manager_name = "objects"
        constraints = [
            models.CheckConstraint(condition=Q(points__gt=0), name="wallet_transfer_points_positive"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="wallet_transfer_two_accounts"),
            models.CheckConstraint(
                condition=Q(account=F("target"), owned_after=F("owned_before") + F("points"))
                | Q(account=F("source"), owned_after=F("owned_before") - F("points")),
                name="wallet_transfer_adds_up",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "id"], name="wallet_transfers_statement"),
            models.Index(fields=["account", "kind", "created_at"], name="wallet_transfers_kind"),
            models.Index(fields=["created_at"], name="wallet_transfers_created"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.points}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TransferImmutable
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TransferImmutable

    @property
    def signed_points(self) -> int:
        """As the customer's statement shows it: what came is positive, what went is negative."""
        return self.points if self.account_id == self.target_id else -self.points


class AuditRun(models.Model):
    """One audit and what it found. A row per day is also the claim by which only one process runs the nightly one."""

    day = models.DateField(_("nightly audit of"), null=True, blank=True, unique=True)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    accounts = models.PositiveIntegerField(_("accounts"), default=0)
    open_holds = models.PositiveIntegerField(_("open holds"), default=0)
    transfers = models.PositiveBigIntegerField(_("transfers"), default=0)
    difference_count = models.PositiveIntegerField(_("differences"), default=0)
    differences = models.JSONField(_("what differs"), default=list, blank=True)

    class Meta:
        db_table = "wallet_audits"
        verbose_name = _("audit")
        verbose_name_plural = _("audits")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"
