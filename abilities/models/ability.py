"""An ability: what PODI offers, and its frozen versions."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from executors.models import Executor, Workflow
from podi.base.ids import new_id

DEFINITION_FIELDS = (
    "category",
    "display_name",
    "description",
    "ability_type",
    "executor_id",
    "workflow_id",
    "coze_workflow_id",
    "default_params",
    "input_schema",
    "metadata",
)
"""What a version freezes: everything that decides how a call is checked, priced and run."""


class Ability(models.Model):
    """The ability as it is now. Its history lies in `versions`; `version` names the current one."""

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        INACTIVE = "inactive", _("inactive")

    class Type(models.TextChoices):
        API = "api", "API"
        COMFYUI = "comfyui", "ComfyUI"
        WORKFLOW = "workflow", _("workflow")
        TOOL = "tool", _("tool")

    id = models.CharField(_("id"), primary_key=True, max_length=64, default=new_id)
    provider = models.CharField(_("provider"), max_length=64, db_index=True)
    category = models.CharField(_("category"), max_length=64)
    capability_key = models.CharField(_("capability key"), max_length=64, db_index=True)
    version = models.CharField(_("version"), max_length=32, default="v1")
    display_name = models.CharField(_("display name"), max_length=128)
    description = models.TextField(_("description"), blank=True, default="")
    status = models.CharField(_("status"), max_length=32, choices=Status.choices, default=Status.INACTIVE)
    ability_type = models.CharField(_("type"), max_length=32, choices=Type.choices, default=Type.API)
    executor = models.ForeignKey(
        Executor, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("executor")
    )
    workflow = models.ForeignKey(
        Workflow, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("workflow")
    )
    coze_workflow_id = models.CharField(_("Coze workflow id"), max_length=64, blank=True, default="", db_index=True)
    default_params = models.JSONField(_("default parameters"), default=dict, blank=True)
    input_schema = models.JSONField(_("input schema"), default=dict, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    last_health_check_at = models.DateTimeField(_("last health check"), null=True, blank=True)
    last_health_status = models.CharField(_("health"), max_length=32, blank=True, default="")
    success_rate = models.FloatField(_("success rate"), null=True, blank=True)
    seed = models.JSONField(default=dict, blank=True, editable=False)
    """What the catalogue last put here, so that loading it again can tell an operator's change from its own."""
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "abilities"
        verbose_name = _("ability")
        verbose_name_plural = _("abilities")
        ordering = ["provider", "capability_key"]
        constraints = [models.UniqueConstraint(fields=["provider", "capability_key"], name="ability_key_once")]

    def __str__(self) -> str:
        return self.display_name

    def definition(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in DEFINITION_FIELDS}


class AbilityVersion(models.Model):
    """One frozen definition. A caller may pin it; a task remembers which one it ran."""

    ability = models.ForeignKey(Ability, on_delete=models.CASCADE, related_name="versions", verbose_name=_("ability"))
    version = models.CharField(_("version"), max_length=32)
    definition = models.JSONField(_("definition"), default=dict)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("created by"),
    )

    class Meta:
        db_table = "ability_versions"
        verbose_name = _("ability version")
        verbose_name_plural = _("ability versions")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["ability", "version"], name="ability_version_once")]

    def __str__(self) -> str:
        return f"{self.ability_id} {self.version}"
