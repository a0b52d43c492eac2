"""From an order to the body of a workflow run. Pure, but that the caller gives a function which uploads files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from executors.providers.base import InputFile, Order, ProviderRejected

Mode = Literal["async", "sync", "stream"]
MODES: tuple[Mode, ...] = ("async", "sync", "stream")
MAX_LABEL_CHARS = 512
MAX_LABELS = 40


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run to start. `body` is complete but for `is_async`."""

    workflow_id: str
    mode: Mode
    body: Mapping[str, Any]


def read_run(order: Order, *, upload: Callable[[InputFile], str], sends_files_as: str) -> Run:
    """Raises ProviderRejected COZE_WORKFLOW_ID_MISSING, COZE_MODE_UNKNOWN; and what `upload` raises.

    `sends_files_as` is "url" or "upload", where the ability does not say it itself.
    """
    workflow_id = str(order.options.get("coze_workflow_id") or "").strip()
    if not workflow_id:
        raise ProviderRejected("The ability names no Coze workflow.", code="COZE_WORKFLOW_ID_MISSING")
    mode = mode_of(order.options)
    body: dict[str, Any] = {
        "workflow_id": workflow_id,
        "parameters": _parameters(order, upload, sends_files_as=sends_files_as),
        "ext": _labels(order),
    }
    for name in ("bot_id", "app_id"):
        if value := order.options.get(f"coze_{name}"):
            body[name] = str(value)
    return Run(workflow_id=workflow_id, mode=mode, body=body)


def mode_of(options: Mapping[str, Any]) -> Mode:
    wanted = options.get("coze_mode") or "async"
    for mode in MODES:
        if wanted == mode:
            return mode
    raise ProviderRejected(
        f"The ability's coze_mode is {wanted!r}; choose one of {', '.join(MODES)}.", code="COZE_MODE_UNKNOWN"
    )


def _parameters(order: Order, upload: Callable[[InputFile], str], *, sends_files_as: str) -> dict[str, Any]:
    """Inputs under the workflow's names. Names that begin with two underscores are ours and stay here."""
    names: Mapping[str, Any] = order.options.get("coze_parameters") or {}
    always_lists = set(order.options.get("coze_list_parameters") or ())
    is_upload = (order.options.get("coze_files") or sends_files_as) == "upload"
    found: dict[str, Any] = {}
    for name, value in order.params.items():
        if not name.startswith("__"):
            found[str(names.get(name, name))] = value
    for name in dict.fromkeys(file.field for file in order.files):
        values = [_file_value(file, upload, is_upload=is_upload) for file in order.files_of(name)]
        is_list = len(values) > 1 or name in always_lists
        found[str(names.get(name, name))] = values if is_list else values[0]
    return found


def _file_value(file: InputFile, upload: Callable[[InputFile], str], *, is_upload: bool) -> str:
    """A link that Coze can fetch; or, uploaded, its id as JSON text, which is how a file parameter names one."""
    if file.url and not is_upload:
        return file.url
    return json.dumps({"file_id": upload(file)})


def _labels(order: Order) -> dict[str, str]:
    """`ext` takes texts only. With our task id a run can be found in Coze's own log when its answer was lost."""
    labels = {"task_id": order.task_id, "provider": "coze", **order.labels}
    kept = [(str(name), str(value)[:MAX_LABEL_CHARS]) for name, value in labels.items() if value not in (None, "")]
    return dict(kept[:MAX_LABELS])
