"""Uploads of callers: the key that opens one, the one file it is for, and who may not."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from media.models.assets import Asset
from podi.base.ids import new_id


class UploadKey(models.Model):
    """A one-time key. The text the caller holds names this row; the row decides whether it still opens anything."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"))
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        db_table = "media_upload_keys"
        verbose_name = _("upload key")
        verbose_name_plural = _("upload keys")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["expires_at"], name="media_upload_key_expiry")]

    def __str__(self) -> str:
        return self.pk[:8]


class Upload(models.Model):
    """One file on its way in. Its object key is ours and fixed before the first byte comes.

    granted -> receiving (our own address) or received (OSS told us) -> kept | refused; or expired.
    """

    class Method(models.TextChoices):
        STS = "sts", _("temporary keys")
        FORM = "form", _("signed form")
        DIRECT = "direct", _("our own address")

    class State(models.TextChoices):
        GRANTED = "granted", _("allowed")
        RECEIVING = "receiving", _("being received")
        RECEIVED = "received", _("arrived")
        KEPT = "kept", _("kept")
        REFUSED = "refused", _("refused")
        EXPIRED = "expired", _("never came")

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("owner")
    )
    object_key = models.CharField(_("object key"), max_length=512, unique=True)
    method = models.CharField(_("method"), max_length=16, choices=Method.choices)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.GRANTED)
    task_id = models.CharField(_("task"), max_length=128, blank=True, default="")
    action = models.CharField(_("action"), max_length=64, blank=True, default="")
    channel = models.CharField(_("channel"), max_length=64, blank=True, default="")
    file_name = models.CharField(_("file name"), max_length=256, blank=True, default="")
    content_type = models.CharField(_("claimed content type"), max_length=128, blank=True, default="")
    max_bytes = models.BigIntegerField(_("largest size (bytes)"))
    size_bytes = models.BigIntegerField(_("size (bytes)"), null=True, blank=True)
    etag = models.CharField("ETag", max_length=128, blank=True, default="")
    refusal = models.CharField(_("refused because"), max_length=64, blank=True, default="")
    asset = models.ForeignKey(
        Asset, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("asset")
    )
    """An upload does not keep its file alive; what uses the file does."""
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"))
    received_at = models.DateTimeField(_("arrived at"), null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "media_uploads"
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "expires_at"], name="media_upload_state"),
            models.Index(fields=["owner", "created_at"], name="media_upload_owner"),
        ]

    def __str__(self) -> str:
        return self.object_key


class UploadBlock(models.Model):
    """A user who may not upload for now."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    reason = models.CharField(_("reason"), max_length=255)
    blocked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("blocked by"),
    )
    created_at = models.DateTimeField(_("blocked at"), auto_now_add=True)

    class Meta:
        db_table = "media_upload_blocks"
        verbose_name = _("upload block")
        verbose_name_plural = _("upload blocks")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.user)
