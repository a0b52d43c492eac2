"""Abilities as operators keep them: every change of a definition becomes a version that can be pinned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from abilities import errors, pricing, schema
from abilities.models import Ability, AbilityVersion
from abilities.models.ability import DEFINITION_FIELDS
from executors import errors as executor_errors
from executors import services as executors
from executors.models import Executor, Workflow
from podi.base.errors import InvalidInput
from podi.base.models import User

_WRITABLE = frozenset({*DEFINITION_FIELDS, "status", "version", "provider", "capability_key"})


def active_abilities() -> QuerySet[Ability]:
    """What clients may call, ordered provider then capability key."""
    return Ability.objects.filter(status=Ability.Status.ACTIVE).order_by("provider", "capability_key")


def find_ability(ability_id: str, *, version: str = "") -> Ability:
    """The ability as it is now, or as the pinned version froze it (unsaved). Raises AbilityNotFound,
    AbilityVersionNotFound."""
    ability = Ability.objects.filter(pk=ability_id).first()
    if ability is None:
        raise errors.AbilityNotFound()
    if not version or version == ability.version:
        return ability
    frozen = AbilityVersion.objects.filter(ability=ability, version=version).first()
    if frozen is None:
        raise errors.AbilityVersionNotFound()
    for name, value in frozen.definition.items():
        if name in DEFINITION_FIELDS:
            setattr(ability, name, value)
    ability.version = version
    return ability


def create_ability(actor: User | None, *, ability_id: str = "", **fields: Any) -> Ability:
    """A new ability with its first version. Raises AbilityKeyTaken, InvalidSchema, InvalidInput."""
    ability = Ability(**({"id": ability_id} if ability_id else {}))
    _assign(ability, fields)
    _check(ability)
    try:
        with transaction.atomic():
            ability.save(force_insert=True)
            _freeze(ability, actor)
    except IntegrityError:
        raise errors.AbilityKeyTaken() from None
    return ability


def update_ability(actor: User | None, ability: Ability, **fields: Any) -> Ability:
    """Change some fields, and only these (R19). A changed definition gets the next version name unless one is given.

    `ability` is read anew, so that what another operator changed since it was loaded stays.
    """
    with transaction.atomic():
        Ability.objects.filter(pk=ability.pk).update(updated_at=timezone.now())  # others wait here until we are done
        ability.refresh_from_db()
        before = ability.definition()
        named = fields.get("version") not in (None, "", ability.version)
        _assign(ability, fields)
        _check(ability)
        if ability.definition() != before and not named:
            ability.version = _next_version(ability)
        try:
            with transaction.atomic():
                ability.save()
        except IntegrityError:
            raise errors.AbilityKeyTaken() from None
        _freeze(ability, actor)
    return ability


def delete_ability(actor: User | None, ability: Ability) -> None:
    """Only an ability that was never used can go; raises AbilityInUse."""
    try:
        ability.delete()
    except ProtectedError:
        raise errors.AbilityInUse() from None


def _assign(ability: Ability, fields: Mapping[str, Any]) -> None:
    if unknown := set(fields) - _WRITABLE:
        raise InvalidInput(fields=dict.fromkeys(unknown, "cannot be written"))
    for name, value in fields.items():
        if name in {"default_params", "input_schema", "metadata"}:
            value = value or {}
        elif name in {"description", "coze_workflow_id"}:
            value = value or ""
        setattr(ability, name, value)


def _check(ability: Ability) -> None:
    missing = [n for n in ("provider", "category", "capability_key", "display_name") if not getattr(ability, n)]
    if missing:
        raise InvalidInput(fields=dict.fromkeys(missing, "required"))
    too_long = _too_long(ability)
    if too_long:
        raise InvalidInput(fields=too_long)
    executors.provider_class(ability.provider)
    if problems := schema.problems_of(ability.input_schema, ability.default_params):
        raise errors.InvalidSchema(fields=problems)
    if problems := metadata_problems(ability.metadata):
        raise InvalidInput(fields=problems)
    if ability.executor_id and not Executor.objects.filter(pk=ability.executor_id).exists():
        raise executor_errors.ExecutorReferenceInvalid()
    if ability.workflow_id and not Workflow.objects.filter(pk=ability.workflow_id).exists():
        raise executor_errors.WorkflowReferenceInvalid()


def metadata_problems(metadata: Mapping[str, Any]) -> dict[str, str | Promise]:
    """What is wrong with the parts of an ability's metadata that PODI itself reads, by place."""
    problems = pricing.problems_of(metadata)
    for name in ("allowed_executor_ids", "required_tags"):
        value = metadata.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            problems[f"metadata.{name}"] = _("Must be a list of texts.")
    deadline_s = metadata.get("deadline_s")
    if deadline_s is not None and (isinstance(deadline_s, bool) or not isinstance(deadline_s, int)):
        problems["metadata.deadline_s"] = _("Must be a number of seconds.")
    promised = metadata.get("outputs")
    if promised is not None and not isinstance(promised, Mapping):
        problems["metadata.outputs"] = _('Must be an object such as `{"images": 1}`.')
    return problems


def _too_long(ability: Ability) -> dict[str, str]:
    """Texts that would not fit their column: MySQL refuses them with an error of its own, SQLite keeps them."""
    found = {}
    for field in Ability._meta.concrete_fields:
        limit, value = field.max_length, getattr(ability, field.attname)
        if limit and isinstance(value, str) and len(value) > limit:
            found[field.attname] = _("At most %(limit)d characters.") % {"limit": limit}
    return found


def _next_version(ability: Ability) -> str:
    """v1 → v2, skipping names that are taken; any other name gets `.1`, `.2` ... appended."""
    taken = set(AbilityVersion.objects.filter(ability=ability).values_list("version", flat=True)) | {ability.version}
    match = re.fullmatch(r"(.*?)(\d+)", ability.version)
    stem, number = (match[1], int(match[2])) if match else (f"{ability.version}.", 1)
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"[:32]


def _freeze(ability: Ability, actor: User | None) -> None:
    """Keep the current definition under its version name; a version that exists with other content is refused."""
    definition = ability.definition()
    frozen, is_new = AbilityVersion.objects.get_or_create(
        ability=ability, version=ability.version, defaults={"definition": definition, "created_by": actor}
    )
    if not is_new and frozen.definition != definition:
        raise InvalidInput(fields={"version": "This version exists already with another definition."})
