"""Where work is done, with which keys and graphs, and who holds a place there."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from podi.base.fields import EncryptedJSONField, EncryptedTextField
from podi.base.ids import new_id


class Status(models.TextChoices):
    ACTIVE = "active", _("active")
    INACTIVE = "inactive", _("inactive")


class Stamped(models.Model):
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        abstract = True


class ApiKey(Stamped):
    """A secret of ours at a provider. Encrypted at rest; only `last_four` is ever shown."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        INACTIVE = "inactive", _("inactive")
        EXHAUSTED = "exhausted", _("exhausted")

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    provider = models.CharField(_("provider"), max_length=64)
    name = models.CharField(_("name"), max_length=128)
    key = EncryptedTextField(_("key"))
    last_four = models.CharField(_("last four"), max_length=4, blank=True, default="", editable=False)
    status = models.CharField(_("status"), max_length=32, choices=State.choices, default=State.ACTIVE)
    daily_quota = models.PositiveIntegerField(_("daily quota"), null=True, blank=True)
    usage_count = models.PositiveIntegerField(_("uses"), default=0)
    expire_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    cooldown_until = models.DateTimeField(_("pauses until"), null=True, blank=True)
    cooldown_reason = models.CharField(_("reason of the pause"), max_length=128, blank=True, default="")
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    usage_day = models.DateField(_("day of the count"), null=True, blank=True, editable=False)
    used_today = models.PositiveIntegerField(_("uses today"), default=0, editable=False)
    """Uses on `usage_day` (UTC). On another day it counts as zero, so the quota needs nobody to reset it."""
    secrets = EncryptedJSONField(default=dict, blank=True, editable=False)
    """What belongs to the key and is as secret as the key: Baidu's secretKey."""
    metadata = models.JSONField(_("metadata"), null=True, blank=True)

    class Meta:
        db_table = "api_keys"
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["provider", "name"]

    def __str__(self) -> str:
        return f"{self.provider} · {self.name} (…{self.last_four})"


class Executor(Stamped):
    """A place where work is done: a node of ours or an account at a provider. `type` is the provider's kind."""

    id = models.CharField(_("id"), primary_key=True, max_length=64, default=new_id)
    name = models.CharField(_("name"), max_length=128)
    type = models.CharField(_("type"), max_length=32)
    base_url = models.CharField(_("address"), max_length=512, blank=True, default="")
    status = models.CharField(_("status"), max_length=32, choices=Status.choices, default=Status.INACTIVE)
    weight = models.IntegerField(_("weight"), default=1)
    max_concurrency = models.PositiveIntegerField(_("runs at once"), default=1, validators=[MinValueValidator(1)])
    queue_limit = models.PositiveIntegerField(
        _("queue limit"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("How many tasks may wait and run there. Empty means the default."),
    )
    config = models.JSONField(_("settings"), default=dict, blank=True)
    secrets = EncryptedJSONField(_("secrets"), default=dict, blank=True)
    is_draining = models.BooleanField(_("draining"), default=False)
    health_status = models.CharField(_("health"), max_length=32, blank=True, default="")
    health_message = models.CharField(_("health message"), max_length=512, blank=True, default="")
    last_heartbeat_at = models.DateTimeField(_("last seen"), null=True, blank=True)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    failures_in_row = models.PositiveIntegerField(_("failures in a row"), default=0)
    queue_running = models.PositiveIntegerField(_("running there"), null=True, blank=True, editable=False)
    queue_pending = models.PositiveIntegerField(_("waiting there"), null=True, blank=True, editable=False)
    foreign_load = models.PositiveIntegerField(_("work of others"), default=0, editable=False)
    """What the last probe saw in the queue beyond our own running tasks."""
    probed_at = models.DateTimeField(_("probed at"), null=True, blank=True, editable=False)
    next_probe_at = models.DateTimeField(null=True, blank=True, editable=False)
    inventory = models.JSONField(_("inventory"), default=dict, blank=True)
    inventory_at = models.DateTimeField(_("inventory of"), null=True, blank=True, editable=False)
    gaps = models.JSONField(_("missing for workflows"), default=dict, blank=True, editable=False)
    """Workflow id to what the inventory lacks for it; a workflow that can run here is not named."""
    api_keys: models.ManyToManyField[ApiKey, ExecutorApiKey] = models.ManyToManyField(
        ApiKey, through="ExecutorApiKey", blank=True, verbose_name=_("API keys")
    )

    class Meta:
        db_table = "executors"
        verbose_name = _("executor")
        verbose_name_plural = _("executors")
        ordering = ["type", "id"]
        indexes = [models.Index(fields=["type", "status"], name="executors_type_status")]

    def __str__(self) -> str:
        return self.name


class ExecutorApiKey(Stamped):
    """Which keys an executor uses, in which order (smaller first)."""

    executor = models.ForeignKey(Executor, on_delete=models.CASCADE, verbose_name=_("executor"))
    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, verbose_name=_("API key"))
    priority = models.IntegerField(_("priority"), default=0)

    class Meta:
        db_table = "executor_api_keys"
        verbose_name = _("API key of an executor")
        verbose_name_plural = _("API keys of executors")
        constraints = [models.UniqueConstraint(fields=["executor", "api_key"], name="executor_api_key_once")]

    def __str__(self) -> str:
        return f"{self.executor_id} · {self.api_key_id}"


class Workflow(Stamped):
    """A stored graph. The row keeps its id through changes; each state of its content is a `WorkflowRevision`."""

    id = models.CharField(_("id"), primary_key=True, max_length=64, default=new_id)
    action = models.CharField(_("action"), max_length=32, db_index=True)
    name = models.CharField(_("name"), max_length=128)
    version = models.CharField(_("version"), max_length=32, default="v1")
    type = models.CharField(_("type"), max_length=32, default="generic")
    definition = models.JSONField(_("definition"), default=dict, blank=True)
    status = models.CharField(_("status"), max_length=32, choices=Status.choices, default=Status.INACTIVE)
    metadata = models.JSONField(_("metadata"), null=True, blank=True)
    revision = models.PositiveIntegerField(_("revision"), default=1, editable=False)
    requirements = models.JSONField(_("needs"), default=dict, blank=True, editable=False)
    """What the graph needs of a node (nodes, models), read from the graph when it is saved."""

    class Meta:
        db_table = "workflows"
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        ordering = ["action", "name", "version"]
        constraints = [models.UniqueConstraint(fields=["action", "name", "version"], name="workflow_version_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class WorkflowRevision(models.Model):
    """One state of a workflow's content, frozen when it was saved."""

    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="revisions", verbose_name=_("workflow")
    )
    number = models.PositiveIntegerField(_("revision"))
    version = models.CharField(_("version"), max_length=32)
    definition = models.JSONField(_("definition"), default=dict)
    metadata = models.JSONField(_("metadata"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "workflow_revisions"
        verbose_name = _("workflow revision")
        verbose_name_plural = _("workflow revisions")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["workflow", "number"], name="workflow_revision_once")]

    def __str__(self) -> str:
        return f"{self.workflow_id} #{self.number}"


class WorkflowBinding(Stamped):
    """Joins an action, a workflow and an executor. Higher priority first."""

    id = models.CharField(_("id"), primary_key=True, max_length=64, default=new_id)
    action = models.CharField(_("action"), max_length=32, db_index=True)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, verbose_name=_("workflow"))
    executor = models.ForeignKey(Executor, on_delete=models.CASCADE, verbose_name=_("executor"))
    priority = models.IntegerField(_("priority"), default=0)
    enabled = models.BooleanField(_("enabled"), default=True)
    metadata = models.JSONField(_("metadata"), null=True, blank=True)

    class Meta:
        db_table = "workflow_bindings"
        verbose_name = _("workflow binding")
        verbose_name_plural = _("workflow bindings")
        ordering = ["action", "-priority", "id"]

    def __str__(self) -> str:
        return f"{self.action} → {self.executor_id}"


class Lease(models.Model):
    """A place in an executor's queue and, once running, one of its slots.

    The unique constraints are the caps: a place above the queue limit or a slot above the concurrency is never asked
    for, and two takers of one number cannot both win, in whichever process they live. `holder` is a task id, without a
    foreign key because tasks live above executors.
    """

    executor = models.ForeignKey(Executor, on_delete=models.CASCADE, related_name="leases", verbose_name=_("executor"))
    holder = models.CharField(_("held by"), max_length=64, unique=True)
    place = models.PositiveIntegerField(_("place"), null=True, blank=True)
    """Empty on executors whose queue is not counted."""
    slot = models.PositiveIntegerField(_("slot"), null=True, blank=True)
    taken_at = models.DateTimeField(_("taken at"), auto_now_add=True)
    started_at = models.DateTimeField(_("running since"), null=True, blank=True)

    class Meta:
        db_table = "executor_leases"
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        constraints = [
            models.UniqueConstraint(fields=["executor", "place"], name="lease_place_once"),
            models.UniqueConstraint(fields=["executor", "slot"], name="lease_slot_once"),
        ]

    def __str__(self) -> str:
        return f"{self.executor_id}[{self.place}] {self.holder}"


class RoutingCursor(models.Model):
    """A counter that all processes share: where round robin stands, and the row at which admissions of a kind queue up.

    On SQLite one transaction writes at a time anyway. On MySQL two inserts of one number would wait for each other and
    often end in a deadlock; moving this counter first lets one admission of a kind in at a time.
    """

    key = models.CharField(_("key"), primary_key=True, max_length=64)
    position = models.PositiveBigIntegerField(_("position"), default=0)

    class Meta:
        db_table = "routing_cursors"
        verbose_name = _("routing cursor")
        verbose_name_plural = _("routing cursors")

    def __str__(self) -> str:
        return f"{self.key}: {self.position}"
