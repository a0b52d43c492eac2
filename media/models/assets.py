"""A file PODI has kept."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from podi.base.ids import new_id


class Asset(models.Model):
    """A file in our own storage, found again by its key; equal bytes of one owner are stored once (`dedupe_key`).

    Rows are made by `services.keep` and never change but for `last_used_at`, which keeps the sweep away, and
    `removed_at`, after which there is only the row.
    """

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    object_key = models.CharField(_("object key"), max_length=512, unique=True)
    sha256 = models.CharField("SHA-256", max_length=64)
    size_bytes = models.BigIntegerField(_("size (bytes)"))
    content_type = models.CharField(_("content type"), max_length=128)
    width = models.PositiveIntegerField(_("width (px)"), null=True, blank=True)
    height = models.PositiveIntegerField(_("height (px)"), null=True, blank=True)
    dpi = models.FloatField("dpi", null=True, blank=True)
    file_name = models.CharField(_("file name"), max_length=256, blank=True, default="")
    kind = models.CharField(_("kind"), max_length=16, default="output")
    dedupe_key = models.CharField(max_length=160, unique=True, default=new_id, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last asked for"), default=timezone.now, editable=False)
    removed_at = models.DateTimeField(_("removed at"), null=True, blank=True, editable=False)
    """Set where a retention rule took the file away while something still refers to the row."""

    class Meta:
        db_table = "media_objects"
        verbose_name = _("asset")
        verbose_name_plural = _("assets")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["sha256", "owner"], name="media_hash_owner"),
            models.Index(fields=["created_at"], name="media_created"),
            models.Index(fields=["last_used_at"], name="media_last_used"),
        ]

    def __str__(self) -> str:
        return self.object_key
