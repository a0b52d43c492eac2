"""Builds the order of a task: everything its provider needs, as plain data."""

from __future__ import annotations

from functools import partial
from typing import Any

from abilities.models import Invocation, Task, TaskAsset
from executors.models import Workflow, WorkflowBinding
from executors.providers.base import InputFile, Order
from media import services as media


def build_order(task: Task, invocation: Invocation) -> Order:
    """Reads the kept pictures and the graph. Raises Workflow.DoesNotExist never: a missing graph is None, and the
    provider says what that means for it."""
    metadata = dict(task.definition.get("metadata") or {})
    return Order(
        task_id=task.id,
        operation=str(metadata.get("action") or task.capability_key),
        params=task.inputs.get("values") or {},
        files=tuple(_input_file(row) for row in _input_rows(task)),
        options=_options(task, metadata),
        workflow=_workflow(task, invocation, metadata),
        ref=invocation.ref,
        expected_outputs=task.definition.get("expected_outputs"),
        labels=_labels(task),
    )


def _options(task: Task, metadata: dict[str, Any]) -> dict[str, Any]:
    """The ability's metadata, and the workflow on Coze, which is a field of its own."""
    workflow_id = task.definition.get("coze_workflow_id")
    return metadata | ({"coze_workflow_id": workflow_id} if workflow_id else {})


def _labels(task: Task) -> dict[str, str]:
    """Contract 5.6: whose work it is, and what the caller said about it, each name as `meta_<name>`."""
    labels = {
        "ability_id": task.ability_id or "",
        "capability_key": task.capability_key,
        "request_id": task.request_id,
        "source": task.source,
        "user_id": task.owner_id or "",
    }
    return labels | {f"meta_{name}": str(value) for name, value in (task.metadata or {}).items()}


def _input_rows(task: Task) -> list[TaskAsset]:
    """The kept pictures in order: from memory right after the task was created, else one query, else none."""
    if not (task.inputs.get("files") or task.inputs.get("named")):
        return []
    kept: list[TaskAsset] | None = getattr(task, "input_rows", None)
    if kept is None:
        kept = list(task.assets.select_related("asset").filter(asset_type="input").order_by("position"))
    return kept


def _input_file(row: TaskAsset) -> InputFile:
    asset = row.asset
    return InputFile(
        field=row.field,
        name=asset.file_name or asset.object_key.rsplit("/", 1)[-1],
        content_type=asset.content_type,
        size_bytes=asset.size_bytes,
        sha256=asset.sha256,
        open=partial(media.open_asset, asset),
        width=asset.width,
        height=asset.height,
        url=media.url(asset),
    )


def _workflow(task: Task, invocation: Invocation, metadata: dict[str, Any]) -> dict[str, Any] | None:
    """The ability's own graph, else the graph its action's binding gives this executor, else the one its key names."""
    workflow = None
    if workflow_id := task.definition.get("workflow_id"):
        workflow = Workflow.objects.filter(pk=workflow_id).first()
    if workflow is None and metadata.get("action") and invocation.executor_id:
        binding = (
            WorkflowBinding.objects.filter(
                action=metadata["action"],
                executor_id=invocation.executor_id,
                enabled=True,
                workflow__status="active",
            )
            .select_related("workflow")
            .order_by("-priority", "id")
            .first()
        )
        workflow = binding.workflow if binding else None
    if workflow is None and (key := metadata.get("workflow_key")):
        workflow = workflow_by_key(str(key))
    if workflow is None:
        return None
    described = workflow.metadata or {}
    return {
        "id": workflow.pk,
        "version": workflow.version,
        "definition": workflow.definition,
        "input_node_map": described.get("input_node_map") or [],
        "output_node_ids": metadata.get("output_node_ids") or described.get("output_node_ids") or [],
    }


def workflow_by_key(key: str) -> Workflow | None:
    """The active graph that carries this key, newest first; else the one with this id or action."""
    active = Workflow.objects.filter(status="active").order_by("-updated_at")
    return (
        active.filter(metadata__workflow_key=key).first()
        or active.filter(pk=key).first()
        or active.filter(action=key).first()
    )
