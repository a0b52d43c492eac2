"""What operators do with executors: create, change, delete, drain, resume, test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from executors import parameters
from executors.errors import ApiKeyReferenceInvalid, ExecutorInUse, ExecutorNotFound
from executors.models import ApiKey, Executor, ExecutorApiKey, Lease, Status
from executors.pool import leases
from executors.providers.base import Health
from executors.registry import provider_class
from executors.services import changes
from executors.services.health import probe
from podi.base.errors import InvalidInput
from podi.base.models import User

_RECHECKED = frozenset({"type", "base_url", "config", "secrets", "status"})


class ExecutorChanges(TypedDict, total=False):
    """The fields an operator may set. `config` may carry secrets; they are moved out of it before it is stored."""

    name: str
    type: str
    base_url: str
    status: str
    weight: int
    max_concurrency: int
    queue_limit: int | None
    config: dict[str, Any]
    api_key_ids: Sequence[str]


def list_executors() -> QuerySet[Executor]:
    """All of them with `held` and `running` leases counted; keys prefetched in their order."""
    return count_leases(Executor.objects.all()).prefetch_related("executorapikey_set").order_by("type", "pk")


def count_leases(rows: QuerySet[Executor]) -> QuerySet[Executor]:
    """Adds `held` and `running`: how many tasks of ours have a place there, and how many of them run."""
    own = Lease.objects.filter(executor=OuterRef("pk")).order_by().values("executor")
    return rows.annotate(
        held=Coalesce(Subquery(own.annotate(n=Count("pk")).values("n")), 0),
        running=Coalesce(Subquery(own.annotate(n=Count("slot")).values("n")), 0),
    )


def find_executor(executor_id: str) -> Executor:
    """Raises ExecutorNotFound (404)."""
    executor = list_executors().filter(pk=executor_id).first()
    if executor is None:
        raise ExecutorNotFound(executorId=executor_id)
    return executor


def create_executor(actor: User, values: ExecutorChanges, *, executor_id: str = "") -> Executor:
    """A new executor. Raises AdminOnly, InvalidInput, IdTaken, ABILITY_PROVIDER_UNSUPPORTED, API_KEY_NOT_FOUND."""
    changes.require_operator(actor)
    executor = Executor(pk=executor_id) if executor_id else Executor()
    _apply(executor, values)
    changes.check(executor)
    leases.make_turn(executor.type)
    with transaction.atomic():
        changes.insert(executor)
        _link_keys(executor, values.get("api_key_ids", ()))
        facts = {"name": executor.name, "type": executor.type, "status": executor.status}
        changes.tell(actor, "executor.created", ("executor", executor.pk), facts)
    return find_executor(executor.pk)


def update_executor(actor: User, executor: Executor, values: ExecutorChanges) -> Executor:
    """Change only what is given. A new address, type, setting or status makes its health unknown and probes it soon.

    Raises what `create_executor` raises.
    """
    changes.require_operator(actor)
    changed = _apply(executor, values)
    changes.check(executor)
    if _RECHECKED & set(changed):
        fresh = {"health_status": "", "failures_in_row": 0, "paused_until": None, "next_probe_at": None}
        changed += changes.changed_fields(executor, fresh)
    with transaction.atomic():
        if changed:
            executor.save(update_fields=[*changed, "updated_at"])
        if "api_key_ids" in values and _link_keys(executor, values["api_key_ids"]):
            changed.append("api_key_ids")
        if changed:
            changes.tell(actor, "executor.changed", ("executor", executor.pk), {"changed": sorted(changed)})
    return find_executor(executor.pk)


def delete_executor(actor: User, executor: Executor) -> None:
    """Delete it with its bindings and key links. Raises ExecutorInUse while tasks hold places on it."""
    changes.require_operator(actor)
    with transaction.atomic():
        if Lease.objects.filter(executor=executor).exists():
            raise ExecutorInUse(executorId=executor.pk)
        changes.tell(actor, "executor.deleted", ("executor", executor.pk), {"name": executor.name})
        executor.delete()


def drain(actor: User, executor: Executor) -> None:
    """No new work; what runs there ends in peace. Waiting tasks move to other executors where there are any."""
    changes.require_operator(actor)
    with transaction.atomic():
        if Executor.objects.filter(pk=executor.pk, is_draining=False).update(is_draining=True):
            changes.tell(actor, "executor.draining", ("executor", executor.pk), {"name": executor.name})


def resume(actor: User, executor: Executor) -> None:
    """Work again at once: ends draining, any pause and an open breaker, and probes soon."""
    changes.require_operator(actor)
    fresh = {"is_draining": False, "paused_until": None, "failures_in_row": 0, "next_probe_at": None}
    with transaction.atomic():
        held_back = Q(is_draining=True) | Q(paused_until__isnull=False) | Q(failures_in_row__gt=0)
        if Executor.objects.filter(held_back, pk=executor.pk).update(**fresh):
            changes.tell(actor, "executor.resumed", ("executor", executor.pk), {"name": executor.name})


def test_connection(actor: User, executor: Executor) -> Health:
    """Probe now and write down what was found. Network work: not inside a transaction."""
    changes.require_operator(actor)
    return probe(executor.pk, with_inventory=True)


def _apply(executor: Executor, values: ExecutorChanges) -> list[str]:
    """Set what is given on the row, secrets apart, and check it against what the provider declares."""
    fields: dict[str, Any] = {name: value for name, value in values.items() if name != "api_key_ids"}
    cls = provider_class(fields.get("type", executor.type))
    if "base_url" in fields:
        fields["base_url"] = str(fields["base_url"] or "").strip().rstrip("/")
    if "config" in fields:
        plain, given = parameters.split(fields["config"] or {}, cls)
        fields["config"] = plain
        fields["secrets"] = parameters.merge_secrets(executor.secrets or {}, given)
    changed = changes.changed_fields(executor, fields)
    problems = parameters.find_problems(
        cls,
        base_url=executor.base_url,
        config=executor.config,
        secrets=executor.secrets,
        is_active=executor.status == Status.ACTIVE,
    )
    if problems:
        raise InvalidInput(fields=problems)
    return changed


def _link_keys(executor: Executor, key_ids: Sequence[str]) -> bool:
    """Replace the links by these, first come first used. False when they were so already."""
    wanted = list(dict.fromkeys(key_ids))
    current = list(
        ExecutorApiKey.objects.filter(executor=executor).order_by("priority", "pk").values_list("api_key_id", flat=True)
    )
    if wanted == current:
        return False
    known = dict(ApiKey.objects.filter(pk__in=wanted).values_list("pk", "provider"))
    for pk in wanted:
        if pk not in known:
            raise ApiKeyReferenceInvalid(apiKeyId=pk)
        if known[pk] != executor.type:
            wrong = {"key": pk, "provider": known[pk], "type": executor.type}
            text = _("%(key)s is a key for %(provider)s, not for %(type)s.") % wrong
            raise InvalidInput(fields={"api_key_ids": text})
    ExecutorApiKey.objects.filter(executor=executor).delete()
    ExecutorApiKey.objects.bulk_create(
        ExecutorApiKey(executor=executor, api_key_id=pk, priority=index) for index, pk in enumerate(wanted)
    )
    return True
