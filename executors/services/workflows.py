"""What operators do with workflows and bindings. A workflow keeps its id; each state of it is kept as a revision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext_lazy as _

from executors.errors import (
    BindingNotFound,
    ExecutorReferenceInvalid,
    IdTaken,
    InvalidWorkflowOrExecutor,
    WorkflowNotFound,
    WorkflowReferenceInvalid,
    WorkflowVersionTaken,
)
from executors.models import Executor, Status, Workflow, WorkflowBinding, WorkflowRevision
from executors.registry import find_graph_problem, read_requirements
from executors.services import changes
from executors.services.gaps import refresh_gaps
from podi.base.errors import InvalidInput
from podi.base.models import User

CATALOG_DIR = Path(__file__).resolve().parent.parent / "catalog" / "workflows"
GRAPH_TYPE = "comfyui"
_CONTENT = frozenset({"version", "definition", "metadata"})


class WorkflowChanges(TypedDict, total=False):
    """The fields an operator may set; `action` only on a new workflow."""

    action: str
    name: str
    version: str
    type: str
    status: str
    definition: dict[str, Any]
    metadata: dict[str, Any] | None


class BindingChanges(TypedDict, total=False):
    action: str
    workflow_id: str
    executor_id: str
    priority: int
    enabled: bool
    metadata: dict[str, Any] | None


def list_workflows() -> QuerySet[Workflow]:
    return Workflow.objects.order_by("action", "name", "version")


def find_workflow(workflow_id: str) -> Workflow:
    """Raises WorkflowNotFound (404)."""
    row = Workflow.objects.filter(pk=workflow_id).first()
    if row is None:
        raise WorkflowNotFound(workflowId=workflow_id)
    return row


def create_workflow(actor: User, values: WorkflowChanges, *, workflow_id: str = "") -> Workflow:
    """A new workflow with its first revision. Raises AdminOnly, InvalidInput, IdTaken, WorkflowVersionTaken."""
    changes.require_operator(actor)
    row = Workflow(pk=workflow_id) if workflow_id else Workflow()
    changes.changed_fields(row, dict(values))
    _check_graph(row)
    row.requirements = read_requirements(row.definition)
    changes.check(row)
    with transaction.atomic():
        try:
            changes.insert(row)
        except IdTaken:
            if _is_version_taken(row):
                raise WorkflowVersionTaken() from None
            raise
        _keep_revision(actor, row)
        refresh_gaps(row)
        changes.tell(actor, "workflow.created", ("workflow", row.pk), _facts(row))
    return row


def load_workflows(actor: User, directory: Path = CATALOG_DIR) -> list[str]:
    """Create the shipped workflows that are not there yet; the ids of the new ones. What is there stays as it is: a new
    shipped graph comes under a new id."""
    created = []
    for path in sorted(directory.glob("*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        workflow_id = entry.pop("id")
        if not Workflow.objects.filter(pk=workflow_id).exists():
            create_workflow(actor, entry, workflow_id=workflow_id)
            created.append(workflow_id)
    return created


def update_workflow(actor: User, row: Workflow, values: WorkflowChanges) -> Workflow:
    """Change only what is given. A change of graph, metadata or version becomes a new revision under the same id.

    Raises AdminOnly, InvalidInput (also for another `action`), WorkflowVersionTaken.
    """
    changes.require_operator(actor)
    if values.get("action", row.action) != row.action:
        raise InvalidInput(fields={"action": _("The action of a workflow cannot be changed. Make a new workflow.")})
    changed = changes.changed_fields(row, dict(values))
    if not changed:
        return row
    _check_graph(row)
    if "definition" in changed:
        changed += changes.changed_fields(row, {"requirements": read_requirements(row.definition)})
    changes.check(row)
    with transaction.atomic():
        _save_workflow(row, changed)
        if _CONTENT & set(changed):
            Workflow.objects.filter(pk=row.pk).update(revision=F("revision") + 1)
            row.refresh_from_db(fields=["revision"])
            _keep_revision(actor, row)
        if "requirements" in changed:
            refresh_gaps(row)
        changes.tell(actor, "workflow.changed", ("workflow", row.pk), {**_facts(row), "changed": sorted(changed)})
    return row


def restore_revision(actor: User, row: Workflow, number: int) -> Workflow:
    """Make the content of an earlier revision the current one, as a new revision. Raises WorkflowNotFound."""
    kept = WorkflowRevision.objects.filter(workflow=row, number=number).first()
    if kept is None:
        raise WorkflowNotFound(workflowId=row.pk, revision=number)
    return update_workflow(actor, row, {"definition": kept.definition, "metadata": kept.metadata})


def delete_workflow(actor: User, row: Workflow) -> None:
    """Delete it with its revisions and bindings; abilities that used it no longer name it."""
    changes.require_operator(actor)
    with transaction.atomic():
        changes.tell(actor, "workflow.deleted", ("workflow", row.pk), _facts(row))
        row.delete()


def list_bindings() -> QuerySet[WorkflowBinding]:
    return WorkflowBinding.objects.order_by("action", "-priority", "pk")


def find_binding(binding_id: str) -> WorkflowBinding:
    """Raises BindingNotFound (404)."""
    row = WorkflowBinding.objects.filter(pk=binding_id).first()
    if row is None:
        raise BindingNotFound(bindingId=binding_id)
    return row


def create_binding(actor: User, values: BindingChanges, *, binding_id: str = "") -> WorkflowBinding:
    """A new binding. Raises AdminOnly, InvalidInput, IdTaken, InvalidWorkflowOrExecutor."""
    changes.require_operator(actor)
    row = WorkflowBinding(pk=binding_id) if binding_id else WorkflowBinding()
    known_workflow = Workflow.objects.filter(pk=values.get("workflow_id", "")).exists()
    if not known_workflow or not Executor.objects.filter(pk=values.get("executor_id", "")).exists():
        raise InvalidWorkflowOrExecutor()
    changes.changed_fields(row, dict(values))
    changes.check(row)
    with transaction.atomic():
        changes.insert(row)
        changes.tell(actor, "binding.created", ("binding", row.pk), _binding_facts(row))
    return row


def update_binding(actor: User, row: WorkflowBinding, values: BindingChanges) -> WorkflowBinding:
    """Change only what is given. Raises AdminOnly, InvalidInput, WORKFLOW_NOT_FOUND or EXECUTOR_NOT_FOUND (400)."""
    changes.require_operator(actor)
    if "workflow_id" in values and not Workflow.objects.filter(pk=values["workflow_id"]).exists():
        raise WorkflowReferenceInvalid(workflowId=values["workflow_id"])
    if "executor_id" in values and not Executor.objects.filter(pk=values["executor_id"]).exists():
        raise ExecutorReferenceInvalid(executorId=values["executor_id"])
    changed = changes.changed_fields(row, dict(values))
    changes.check(row)
    if changed:
        with transaction.atomic():
            row.save(update_fields=[*changed, "updated_at"])
            changes.tell(actor, "binding.changed", ("binding", row.pk), {"changed": sorted(changed)})
    return row


def delete_binding(actor: User, row: WorkflowBinding) -> None:
    changes.require_operator(actor)
    with transaction.atomic():
        changes.tell(actor, "binding.deleted", ("binding", row.pk), _binding_facts(row))
        row.delete()


def _check_graph(row: Workflow) -> None:
    """A graph that no node could run is refused once it is switched on, where `type` says that it is one."""
    problems = {}
    if not isinstance(row.definition, dict):
        problems["definition"] = _("Give a JSON object.")
    if row.metadata is not None and not isinstance(row.metadata, dict):
        problems["metadata"] = _("Give a JSON object.")
    if problems:
        raise InvalidInput(fields=problems)
    if row.type == GRAPH_TYPE and row.status == Status.ACTIVE:
        problem = find_graph_problem(row.definition, row.metadata or {})
        if problem:
            raise InvalidInput(fields={"definition": problem})


def _save_workflow(row: Workflow, changed: list[str]) -> None:
    try:
        with transaction.atomic():
            row.save(update_fields=[*changed, "updated_at"])
    except IntegrityError:
        raise WorkflowVersionTaken() from None


def _is_version_taken(row: Workflow) -> bool:
    same = Workflow.objects.filter(action=row.action, name=row.name, version=row.version)
    return same.exclude(pk=row.pk).exists()


def _keep_revision(actor: User, row: Workflow) -> None:
    WorkflowRevision.objects.create(
        workflow=row,
        number=row.revision,
        version=row.version,
        definition=row.definition,
        metadata=row.metadata,
        created_by=actor,
    )


def _facts(row: Workflow) -> dict[str, Any]:
    return {"action": row.action, "name": row.name, "version": row.version, "revision": row.revision}


def _binding_facts(row: WorkflowBinding) -> dict[str, Any]:
    return {
        "action": row.action,
        "workflowId": row.workflow_id,
        "executorId": row.executor_id,
        "priority": row.priority,
    }
