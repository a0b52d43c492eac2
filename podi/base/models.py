"""Who may call PODI (users, their logins, API tokens of client systems) and what is remembered about their calls."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from podi.base.ids import new_id


class User(AbstractUser):
    """A person, or the one row `service` that stands for SERVICE_API_TOKEN. `is_staff` is the contract's role admin."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    email = models.EmailField(_("email"), max_length=255, unique=True, null=True, blank=True)  # type: ignore[assignment]
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "users"
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email or None  # two users without an address are not two users with the same one
        super().save(*args, **kwargs)

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


class LoginSession(models.Model):
    """One login: the chain of refresh tokens that follow each other, of which only the newest works."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_sessions", verbose_name=_("user"))
    current = models.CharField(max_length=64, editable=False)
    """The random part of the newest refresh token's `jti`; the token itself is not stored."""
    password_mark = models.CharField(max_length=128, editable=False)
    """A keyed digest of the password hash: a changed password ends the login."""
    address = models.CharField(_("address"), max_length=64, blank=True, default="")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    refreshed_at = models.DateTimeField(_("last refreshed at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        db_table = "login_sessions"
        verbose_name = _("login")
        verbose_name_plural = _("logins")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["expires_at"], name="login_sessions_expiry")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.created_at:%Y-%m-%d %H:%M}"


class RateBucket(models.Model):
    """A leaky bucket of calls: the moment (microseconds since 1970) at which it has run empty again."""

    key = models.CharField(primary_key=True, max_length=100)
    empty_at_us = models.BigIntegerField(default=0)

    class Meta:
        db_table = "rate_buckets"
        indexes = [models.Index(fields=["empty_at_us"], name="rate_buckets_empty")]

    def __str__(self) -> str:
        return self.key


class IdempotencyKey(models.Model):
    """A client's key for one creating request, and what that request created."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=191)
    key_hash = models.CharField(max_length=64)
    """Unique in place of `key`: MySQL compares text without case and trailing blanks."""
    fingerprint = models.CharField(max_length=64)
    subject_type = models.CharField(max_length=32)
    subject_id = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "idempotency_keys"
        constraints = [models.UniqueConstraint(fields=["owner", "key_hash"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_keys_age")]

    def __str__(self) -> str:
        return self.key


class Heartbeat(models.Model):
    """The last sign of life of one of our processes, so that readiness need not guess."""

    kind = models.CharField(_("kind"), max_length=32)
    name = models.CharField(_("name"), max_length=128)
    facts = models.JSONField(_("facts"), default=dict, blank=True)
    seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        db_table = "heartbeats"
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        ordering = ["kind", "name"]
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="heartbeat_once")]
        indexes = [models.Index(fields=["kind", "seen_at"], name="heartbeats_seen")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
