"""How long files stay, by client and by kind; and what must not be removed at all."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from media.models.assets import Asset


class RetentionRule(models.Model):
    """One rule. The most particular one counts: client and kind, then client, then kind, then all.

    Without any, UNUSED_ASSET_DAYS is the number of days for unused files, and there is no greatest age.
    """

    class Kind(models.TextChoices):
        ANY = "", _("all kinds")
        INPUT = "input", _("fetched inputs")
        OUTPUT = "output", _("outputs")
        UPLOAD = "upload", _("uploads")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("client"),
        help_text=_("Empty: all clients."),
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices, blank=True, default="")
    unused_days = models.PositiveIntegerField(
        _("days unused"),
        null=True,
        blank=True,
        help_text=_("A file that nothing refers to goes when nobody asked for it for so long. Empty: it stays."),
    )
    max_age_days = models.PositiveIntegerField(
        _("greatest age (days)"),
        null=True,
        blank=True,
        help_text=_("The file goes at this age, also where a task refers to it; the record stays. Empty: no limit."),
    )

    class Meta:
        db_table = "media_retention_rules"
        verbose_name = _("retention rule")
        verbose_name_plural = _("retention rules")
        ordering = ["owner", "kind"]
        constraints = [models.UniqueConstraint(fields=["owner", "kind"], name="media_retention_once")]

    def __str__(self) -> str:
        return f"{self.owner or '*'} / {self.kind or '*'}"

    def clean(self) -> None:
        """A unique constraint does not compare empty owners."""
        if self.owner_id is None and RetentionRule.objects.filter(owner=None, kind=self.kind).exclude(pk=self.pk):
            raise ValidationError(_("There is such a rule already."))
        if self.unused_days == 0 or self.max_age_days == 0:
            raise ValidationError(_("A number of days is 1 or more."))


class LegalHold(models.Model):
    """A file, or all files of a user, that stay whatever any rule says, until the hold is released."""

    asset = models.ForeignKey(
        Asset, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("file")
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("all files of"),
    )
    subject = models.CharField(_("what is held"), max_length=512, editable=False)
    """Says it also after the release, when the file may be gone."""
    reason = models.CharField(_("reason"), max_length=255)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=150, editable=False)
    released_at = models.DateTimeField(_("released at"), null=True, blank=True, editable=False)
    released_by = models.CharField(_("released by"), max_length=150, blank=True, default="", editable=False)

    class Meta:
        db_table = "media_legal_holds"
        verbose_name = _("legal hold")
        verbose_name_plural = _("legal holds")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.subject
