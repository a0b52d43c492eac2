"""The OpenAPI 3.0 document that Coze imports: one path per tool, built from the abilities' own fields.

Every rule it must keep is in `coze_plugin.document_rules`; docs/coze.md says how an import runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from abilities.models import Ability
from coze_plugin import answers, naming, properties, translate
from coze_plugin.services import Offer

TITLE: Final = "PODI Abilities"
VERSION: Final = "0.1.0"
MAX_SUMMARY: Final = 600
_ASYNC_NOTE: Final = (
    "本工具提交后立即返回 taskId，请隔几秒用 podi_task_get 查询，直到 taskStatus 为 succeeded 或 failed。"
)
_SYNC_NOTE: Final = "通常直接返回结果；若 taskStatus 为 running，请用 podi_task_get 按 taskId 查询。"
_STRING: Final = {"type": "string"}
_LINKS: Final = {"type": "array", "items": {"type": "string", "description": "链接"}}
_TEXTS: Final = {"type": "array", "items": {"type": "string", "description": "文本"}}
_INTEGER: Final = {"type": "integer"}
_BOOLEAN: Final = {"type": "boolean"}
_ANSWER: Final[dict[str, dict[str, Any]]] = {
    "text": {
        **_STRING,
        "description": "文本结果；没有结果时是状态词，如 submitted、queued、running、failed、queue_full。",
    },
    "texts": {**_TEXTS, "description": "全部文本结果；失败时是原因。"},
    "imageUrl": {**_STRING, "description": "第一张结果图片的链接，没有则为空。"},
    "imageUrls": {**_LINKS, "description": "全部结果图片的链接，未完成时为空数组。"},
    "videoUrl": {**_STRING, "description": "第一个结果视频的链接，没有则为空。"},
    "videoUrls": {**_LINKS, "description": "全部结果视频的链接。"},
    "fileUrl": {**_STRING, "description": "第一个其他结果文件的链接，没有则为空。"},
    "fileUrls": {**_LINKS, "description": "全部其他结果文件的链接。"},
    "metadata": {**_STRING, "description": "结果的其他信息，JSON 文本，如接缝评分 seams、警告 warnings；没有则为空。"},
    "taskId": {**_STRING, "description": "任务 id，用 podi_task_get 查询；以 ERR| 开头表示没有提交成功。"},
    "taskStatus": {**_STRING, "description": "任务状态：running 进行中、succeeded 成功、failed 失败。"},
    "executorId": {**_STRING, "description": "执行节点 id。"},
    "executorName": {**_STRING, "description": "执行节点名称。"},
    "executorBaseUrl": {**_STRING, "description": "执行节点地址，默认不公开，为空。"},
    "expectedImageCount": {**_INTEGER, "description": "预计得到的图片数量。"},
    "logId": {**_INTEGER, "description": "调用日志编号，没有则为 0。"},
    "requestId": {**_STRING, "description": "请求编号，报告问题时请提供。"},
    "errorCode": {**_STRING, "description": "失败时的错误码，成功时为空。"},
    "errorMessage": {**_STRING, "description": "失败原因和处理办法，成功时为空。"},
    "retryable": {**_BOOLEAN, "description": "失败后原样重试是否可能成功。"},
    "pollAfterSeconds": {**_INTEGER, "description": "建议多少秒后再查询或重试，0 表示不需要。"},
    "ignoredInputs": {**_TEXTS, "description": "本工具不认识、因而忽略的输入字段名。"},
    "dryRun": {**_BOOLEAN, "description": "是否为试运行的示例结果。"},
    "debugRequest": {**_STRING, "description": "调试用：实际采用的输入。"},
    "debugResponse": {**_STRING, "description": "调试用：失败原因或进度提示。"},
}
_COUNT: Final = {"type": "integer", "description": "任务数量。"}
_QUEUE_SERVER: Final[dict[str, dict[str, Any]]] = {
    "executorId": {**_STRING, "description": "节点 id，可填入 ComfyUI 工具的 executorId。"},
    "name": {**_STRING, "description": "节点名称。"},
    "baseUrl": {**_STRING, "description": "节点地址，默认不公开，为空。"},
    "running": {**_COUNT, "description": "正在执行的任务数。"},
    "pending": {**_COUNT, "description": "排队中的任务数。"},
    "runningCount": {**_COUNT, "description": "同 running。"},
    "pendingCount": {**_COUNT, "description": "同 pending。"},
    "queueMaxSize": {**_COUNT, "description": "队列上限，节点没有告知时为 0。"},
    "supported": {**_BOOLEAN, "description": "是否成功读到该节点的队列。"},
    "message": {**_STRING, "description": "没有读到时的原因。"},
}


def document(offers: Sequence[Offer], *, server: str, group: str = "") -> dict[str, Any]:
    """The document of these tools; `group` names a filtered one (`utils`, `comfyui`, ... or a provider)."""
    ids = naming.operation_ids((o.ability.provider, o.ability.capability_key) for o in offers)
    paths = {}
    for offer in offers:
        ability = offer.ability
        operation = _tool(ability, ids[ability.provider, ability.capability_key], collapse=bool(group))
        paths[naming.tool_path(ability.provider, ability.capability_key)] = {"post": operation}
    paths[f"{naming.PREFIX}/tasks/get"] = {"post": _task_get(offers)}
    if group in ("", "comfyui"):
        paths[f"{naming.PREFIX}/comfyui/queue-summary"] = {"post": _queue_summary()}
    return {
        "openapi": "3.0.0",
        "info": {"title": title_of(group), "description": _about(offers), "version": VERSION},
        "servers": [{"url": server}],
        "paths": paths,
    }


def title_of(group: str) -> str:
    if not group:
        return TITLE
    return naming.GROUPS[group][1] if group in naming.GROUPS else f"PODI {group.replace('-', ' ')}"[:30]


def answer_schema() -> dict[str, Any]:
    assert tuple(_ANSWER) == answers.KEYS
    return {"type": "object", "properties": _ANSWER}


def queue_schema() -> dict[str, Any]:
    servers = {"type": "array", "items": {"type": "object", "properties": _QUEUE_SERVER}}
    return {
        "type": "object",
        "properties": {
            "totalRunning": {**_COUNT, "description": "全部节点正在执行的任务数。"},
            "totalPending": {**_COUNT, "description": "全部节点排队中的任务数。"},
            "totalCount": {**_COUNT, "description": "执行中与排队中的总数。"},
            "timestamp": {**_STRING, "description": "读取时间，ISO 8601，UTC。"},
            "servers": {**servers, "description": "各节点的队列。"},
        },
    }


def summary_of(ability: Ability) -> str:
    """What the model reads to decide whether to call: the name, what it does, and how its answer comes."""
    note = _ASYNC_NOTE if translate.is_async(ability) else _SYNC_NOTE
    head = "：".join(part.strip() for part in (ability.display_name, ability.description) if part.strip())
    head = " ".join(head.split()) or ability.capability_key
    if head[-1] not in "。！？.!?":
        head += "。"
    return answers.cut(head, MAX_SUMMARY - len(note)) + note


def _tool(ability: Ability, operation_id: str, *, collapse: bool) -> dict[str, Any]:
    schema = properties.body_schema(ability, collapse=collapse)
    example = properties.example_of(ability, collapse=collapse, schema=schema)
    done = _example_answer(ability)
    return _operation(operation_id, summary_of(ability), schema, example, answer_schema(), done)


def _task_get(offers: Sequence[Offer]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["taskId"],
        "properties": {
            "taskId": {"type": "string", "description": "任务 id：其他 PODI 工具返回的 taskId，原样填入。"},
            translate.DRY_RUN: properties.DRY_RUN_PROPERTY,
        },
    }
    ability = offers[0].ability if offers else None
    done = _example_answer(ability)
    summary = (
        "PODI · 查询任务结果：按 taskId 查询任意 PODI 工具提交的任务。taskStatus 为 running 表示还没完成，"
        "请等待 pollAfterSeconds 秒后再查；succeeded 时读取 imageUrls、videoUrls 或 texts；failed 时读取 errorMessage。"
    )
    return _operation(naming.TASK_GET, summary, schema, {"taskId": done["taskId"]}, answer_schema(), done)


def _queue_summary() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "executorIds": {
                "type": "array",
                "items": {"type": "string", "description": "节点 id"},
                "description": "只看这些节点；不填则看全部启用的节点。",
            },
            translate.DRY_RUN: properties.DRY_RUN_PROPERTY,
        },
    }
    server = {**answers.NO_SERVER, "executorId": "executor_comfyui_a", "name": "ComfyUI-A", "running": 1, "pending": 2}
    server |= {"runningCount": 1, "pendingCount": 2, "queueMaxSize": 10, "supported": True}
    done = {
        "totalRunning": 1,
        "totalPending": 2,
        "totalCount": 3,
        "timestamp": "2026-01-01T00:00:00Z",
        "servers": [server],
    }
    summary = (
        "PODI · ComfyUI 队列：查看各 ComfyUI 节点正在执行和排队的任务数，用来判断是否繁忙、选择节点。不执行任何任务。"
    )
    return _operation(
        naming.QUEUE_SUMMARY, summary, schema, {"executorIds": ["executor_comfyui_a"]}, queue_schema(), done
    )


def _operation(
    operation_id: str,
    summary: str,
    body: dict[str, Any],
    example: dict[str, Any],
    answer: dict[str, Any],
    done: dict[str, Any],
) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body, "example": example}}},
        "responses": {
            "200": {
                "description": "结果或任务状态",
                "content": {"application/json": {"schema": answer, "example": done}},
            }
        },
    }


def _example_answer(ability: Ability | None) -> dict[str, Any]:
    provider = ability.provider if ability else "podi"
    return answers.shape(
        imageUrls=["https://example.com/result.png"],
        taskId=f"t1.{provider}.auto.0e860bd7681542dda28fcc001b2cf372",
        taskStatus=answers.SUCCEEDED,
        expectedImageCount=1,
        logId=12345,
        requestId="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    )


def _about(offers: Sequence[Offer]) -> str:
    return (
        f"按需印刷图片能力平台 PODI 的 {len(offers)} 个图像工具。图片以链接传入，结果以链接返回；"
        "耗时任务返回 taskId，用 podi_task_get 查询。调试和发布时把 dryRun 填为 true，即可不花费用地得到示例结果。"
    )
