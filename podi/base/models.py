"""Who may call PODI: users, and the API tokens of client systems."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from podi.base.ids import new_id


class User(AbstractUser):
    """A person, or the one row `service` that stands for SERVICE_API_TOKEN. `is_staff` is the contract's role admin."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    email = models.EmailField(_("email"), max_length=255, unique=True, null=True, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "users"
        verbose_name = _("user")
        verbose_name_plural = _("users")

    @property
    def role(self) -> str:
        return "admin" if self.is_staff else "user"

    @property
    def status(self) -> str:
        return "active" if self.is_active else "inactive"


class ApiToken(models.Model):
    """A secret of a client system at PODI. Only its hash is stored; the text is shown once."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens", verbose_name=_("acts as"))
    name = models.CharField(_("name"), max_length=128)
    prefix = models.CharField(_("starts with"), max_length=16, editable=False)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list, blank=True)
    allowed_ips = models.JSONField(_("allowed addresses"), default=list, blank=True)
    rate_per_minute = models.PositiveIntegerField(_("calls per minute"), null=True, blank=True)
    max_concurrency = models.PositiveIntegerField(_("open tasks at once"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "api_tokens"
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
