"""What a tool answers: one stable shape in every state, without null and without a key that is not declared here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.conf import settings

from abilities import services as abilities
from abilities.models import Task
from executors import services as executors
from executors.errors import QueueFull
from podi.base.errors import PodiError
from podi.base.phrases import tell, tell_all

RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"
MAX_DEBUG_CHARS: Final = 4000
MAX_ERR_CHARS: Final = 300
SUBMITTED: Final = "submitted"
QUEUE_FULL: Final = "queue_full"
RATE_LIMITED: Final = "rate_limited"
_NOT_FACTS: Final = frozenset({"executorId", "baseUrl", "ignoredInputs", "traceId", "version", "prompt", "params"})
_QUEUE_CODES: Final = frozenset({"Q1001", "Q2001"})
_EMPTY: Final[dict[str, Any]] = {
    "text": "",
    "texts": [],
    "imageUrl": "",
    "imageUrls": [],
    "videoUrl": "",
    "videoUrls": [],
    "fileUrl": "",
    "fileUrls": [],
    "metadata": "",
    "taskId": "",
    "taskStatus": FAILED,
    "executorId": "",
    "executorName": "",
    "executorBaseUrl": "",
    "expectedImageCount": 0,
    "logId": 0,
    "requestId": "",
    "errorCode": "",
    "errorMessage": "",
    "retryable": False,
    "pollAfterSeconds": 0,
    "ignoredInputs": [],
    "dryRun": False,
    "debugRequest": "",
    "debugResponse": "",
}
KEYS: Final = tuple(_EMPTY)


def shape(**values: Any) -> dict[str, Any]:
    """All keys, always, each of its one type. `imageUrl`, `videoUrl`, `fileUrl` and `text` follow from their lists."""
    unknown = set(values) - set(_EMPTY)
    assert not unknown, unknown
    answer: dict[str, Any] = {key: list(value) if isinstance(value, list) else value for key, value in _EMPTY.items()}
    answer |= {key: value for key, value in values.items() if value is not None}
    for one, many in (("imageUrl", "imageUrls"), ("videoUrl", "videoUrls"), ("fileUrl", "fileUrls")):
        answer[many] = list(dict.fromkeys(answer[many]))
        answer[one] = answer[many][0] if answer[many] else ""
    answer["text"] = answer["text"] or "\n".join(answer["texts"])
    for key in ("debugRequest", "debugResponse", "errorMessage"):
        answer[key] = cut(answer[key])
    return answer


def submitted(task: Task) -> dict[str, Any]:
    """A task was taken. The seed's word for its state is `running`, also while it waits in a queue."""
    return shape(**_of_task(task), text=SUBMITTED, texts=[SUBMITTED], taskStatus=RUNNING)


def of_task(task: Task, *, as_id: str = "") -> dict[str, Any]:
    """A task in any state. `as_id`: the id in the form the caller used."""
    values = _of_task(task) | ({"taskId": as_id} if as_id else {})
    if not task.is_terminal:
        return shape(**values, text=task.state, texts=[task.state], taskStatus=RUNNING, debugResponse=_hint(task))
    if task.state == Task.State.SUCCEEDED:
        return shape(**values, **_results(task), taskStatus=SUCCEEDED)
    message = tell(task.error_message) or task.error_code or task.state
    return shape(
        **values,
        text=FAILED,
        texts=[message],
        taskStatus=FAILED,
        errorCode=task.error_code or task.state.upper(),
        errorMessage=message,
        retryable=task.is_error_retryable,
        debugResponse=": ".join(part for part in (task.error_code, message) if part),
    )


def refused(error: PodiError, *, request_id: str, ignored: Sequence[str] = (), body: Any = None) -> dict[str, Any]:
    """Nothing was started, and the workflow shall see why: HTTP 200, `failed`, and an id that `tasks/get` knows."""
    message = error.queue_text if isinstance(error, QueueFull) else _sentence(error)
    details = error.details if isinstance(error, QueueFull) else {}
    return shape(
        **_outcome_of_code(error.code, message),
        taskId=error.err_text if isinstance(error, QueueFull) else err_text(error.detail, message),
        errorCode=error.code if error.code in _QUEUE_CODES else error.detail,
        retryable=error.retryable,
        pollAfterSeconds=math.ceil(error.retry_after_s) if error.retry_after_s is not None else 0,
        requestId=request_id,
        executorId=str(details.get("executorId") or ""),
        executorName=_name_of(str(details.get("executorId") or "")),
        ignoredInputs=list(ignored),
        debugRequest=_json(body) if body is not None else "",
    )


def of_err_text(text: str) -> dict[str, Any]:
    """What `tasks/get` says about an `ERR|<code>|<message>` that a tool handed out (R11)."""
    _err, _bar, rest = text.partition("|")
    code, _bar, message = rest.partition("|")
    values = _outcome_of_code(code, message)
    return shape(**values, taskId=text[: MAX_ERR_CHARS * 2], errorCode=code, retryable=code in _QUEUE_CODES)


def hold_on(task_id: str, error: PodiError) -> dict[str, Any]:
    """Asked too often: the task is none the worse for it, so it must not look failed."""
    seconds = math.ceil(error.retry_after_s or 1)
    return shape(
        taskId=task_id,
        taskStatus=RUNNING,
        text=RATE_LIMITED,
        texts=[_sentence(error)],
        retryable=True,
        pollAfterSeconds=seconds,
        debugResponse=f"{error.code}: {_sentence(error)}",
    )


def err_text(code: str, message: str) -> str:
    """`ERR|<code>|<message>`: blanks collapsed, a bar inside the message becomes a slash."""
    clean = re.sub(r"\s+", " ", message).replace("|", "/").strip()
    return f"ERR|{code.replace('|', '/')}|{cut(clean, MAX_ERR_CHARS)}"


def queue_summary(summary: executors.QueueSummary, *, missing: Sequence[str] = ()) -> dict[str, Any]:
    """The seed's keys and the contract's further ones. A size that a node does not tell is 0, not made up (R21)."""
    servers = [
        {
            "executorId": node.executor_id,
            "name": node.name,
            "baseUrl": node.base_url if settings.COZE_SHOW_NODE_ADDRESSES else "",
            "running": node.running,
            "pending": node.pending,
            "runningCount": node.running,
            "pendingCount": node.pending,
            "queueMaxSize": node.queue_max_size or 0,
            "supported": node.is_supported,
            "message": tell(node.message),
        }
        for node in summary.servers
    ]
    servers += [{**NO_SERVER, "executorId": executor_id, "message": "EXECUTOR_NOT_FOUND"} for executor_id in missing]
    return {
        "totalRunning": summary.running,
        "totalPending": summary.pending,
        "totalCount": summary.running + summary.pending,
        "timestamp": summary.asked_at.isoformat().replace("+00:00", "Z"),
        "servers": servers,
    }


NO_SERVER: Final[dict[str, Any]] = {
    "executorId": "",
    "name": "",
    "baseUrl": "",
    "running": 0,
    "pending": 0,
    "runningCount": 0,
    "pendingCount": 0,
    "queueMaxSize": 0,
    "supported": False,
    "message": "",
}


def cut(text: str, limit: int = MAX_DEBUG_CHARS) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _of_task(task: Task) -> dict[str, Any]:
    request = task.request or {}
    return {
        "taskId": abilities.public_id(task),
        "executorId": task.executor_id or "",
        "executorName": task.executor.name if task.executor else "",
        "executorBaseUrl": executors.base_url_of(task.executor)
        if task.executor and settings.COZE_SHOW_NODE_ADDRESSES
        else "",
        "expectedImageCount": (task.metadata or {}).get("expectedImageCount", 0),
        "logId": abilities.log_id_of(task) or 0,
        "requestId": task.request_id,
        "pollAfterSeconds": 0 if task.is_terminal else 3,
        "ignoredInputs": [str(name) for name in request.get("ignoredInputs") or []],
        "debugRequest": _json({"ability": task.ability_id, "inputs": request.get("inputs")}),
    }


def _results(task: Task) -> dict[str, Any]:
    entries = abilities.invoke_response(task, log_id=None)
    kinds: dict[str, list[str]] = {"image": [], "video": []}
    files: list[str] = []
    for asset in entries["assets"]:
        url = asset.get("ossUrl") or asset.get("sourceUrl") or asset.get("url")
        if url:
            kinds.get(asset.get("type"), files).append(url)
    texts = [text if isinstance(text, str) else _json(text) for text in entries["texts"]]
    facts = {key: value for key, value in entries["metadata"].items() if key not in _NOT_FACTS}
    return {
        "imageUrls": kinds["image"],
        "videoUrls": kinds["video"],
        "fileUrls": files,
        "texts": texts,
        "metadata": _json(facts) if facts else "",
    }


def _hint(task: Task) -> str:
    if task.state == Task.State.QUEUED:
        place = abilities.queue_place(task).position
        return f"queued, position {place}" if place is not None else "queued"
    return f"running, {task.progress:.0%}" if task.progress else "running"


def _outcome_of_code(code: str, message: str) -> dict[str, Any]:
    text = QUEUE_FULL if code in _QUEUE_CODES else RATE_LIMITED if code == "RATE_LIMITED" else FAILED
    return {
        "text": text,
        "texts": [message],
        "taskStatus": FAILED,
        "errorMessage": message,
        "debugResponse": message if text == QUEUE_FULL else f"{code}: {message}",
    }


def _sentence(error: PodiError) -> str:
    """The sentence and what is wrong field by field: the model or the workflow's author must be able to act on it."""
    return " ".join([tell(error.text), *(f"{name}: {text}" for name, text in tell_all(error.fields).items())])


def _name_of(executor_id: str) -> str:
    row = executors.list_executors().filter(pk=executor_id).first() if executor_id else None
    return row.name if row else ""


def _json(value: Mapping[str, Any] | Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
