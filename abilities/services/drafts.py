"""Drafts, as their own door sees them: each file that a draft task made, under an id of its own.

A draft is no row: the task and its files are. The first draft of a task has the task's id, the n-th `<task id>-<n>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet

from abilities.errors import DraftNotFound, TaskNotFound
from abilities.models import Task, TaskAsset
from abilities.services.tasks import find_task
from podi.base.models import User

DRAFT_ABILITY_ID: Final = "jianying_draft_generate"
_KIND: Final = {"provider": "jianying", "capability_key": "draft_generate"}
_NUMBERED = re.compile(r"(?P<task>.+)-(?P<number>[1-9][0-9]{0,2})")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One draft of a task, in whatever state; `number` counts from 1."""

    task: Task
    number: int

    @property
    def id(self) -> str:
        return self.task.pk if self.number == 1 else f"{self.task.pk}-{self.number}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was known when it was asked for."""
        return _at((self.task.inputs.get("facts") or {}).get("drafts"), self.number)

    @property
    def summary(self) -> Mapping[str, Any]:
        """What is known since it was made; empty before."""
        return _at(((self.task.result or {}).get("metadata") or {}).get("drafts"), self.number)

    @property
    def file(self) -> Mapping[str, Any]:
        """The kept archive, as the task's result remembers it; empty before."""
        return _at((self.task.result or {}).get("assets"), self.number)


@dataclass(frozen=True, kw_only=True)
class Materials:
    """How many files the task names, and how many of them are here."""

    total: int
    fetched: int


def drafts_in(task: Task) -> list[Draft]:
    count = len((task.inputs.get("facts") or {}).get("drafts") or [])
    return [Draft(task=task, number=number) for number in range(1, max(1, count) + 1)]


def find_draft(actor: User, draft_id: str) -> Draft:
    """By the draft's id, or the task's in either form. Raises DraftNotFound, also for another user's."""
    task_id, number = draft_id, 1
    if numbered := _NUMBERED.fullmatch(draft_id):
        task_id, number = numbered["task"], int(numbered["number"])
    try:
        task = find_task(actor, task_id)
    except TaskNotFound:
        raise DraftNotFound() from None
    is_draft = all(getattr(task, name) == value for name, value in _KIND.items())
    if not is_draft or number > len(drafts_in(task)):
        raise DraftNotFound()
    return Draft(task=task, number=number)


def completed_drafts(actor: User) -> QuerySet[TaskAsset]:
    """The archives of one's own finished drafts, newest first; `draft_of` tells what each is."""
    made = TaskAsset.objects.filter(
        asset_type=TaskAsset.Type.OUTPUT, task__owner=actor, task__state=Task.State.SUCCEEDED
    )
    kind = {f"task__{name}": value for name, value in _KIND.items()}
    heavy = [f"task__{name}" for name in ("inputs", "request", "definition", "metadata", "callback_headers")]
    rows = made.filter(**kind).select_related("task").defer(*heavy)
    return rows.order_by("-task__created_at", "-task__id", "position")


def draft_of(row: TaskAsset) -> Draft:
    return Draft(task=row.task, number=row.position + 1)


def materials_of(task: Task) -> Materials:
    total = len(task.inputs.get("files") or []) + len(task.inputs.get("named") or [])
    return Materials(total=total, fetched=task.assets.filter(asset_type=TaskAsset.Type.INPUT).count() if total else 0)


def _at(items: Sequence[Mapping[str, Any]] | None, number: int) -> Mapping[str, Any]:
    return items[number - 1] if items and number <= len(items) else {}
