"""The two files of a local plugin, and the same as a table for who must type it in. Pure but for writing them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from coze_plugin import naming, openapi, properties, translate
from coze_plugin.services import Offer

NAME: Final = "podi_local"
TITLE: Final = "PODI 本地工具"
ABOUT: Final = "在自己的服务器上处理图片：缩放、去背景、印前检查、ComfyUI 等 PODI 能力。"
HIDDEN: Final = frozenset({"debugRequest", "debugResponse", "executorBaseUrl", "dryRun", "ignoredInputs"})
"""Keys of a tool's answer that a model has no use for."""
FILE_ID: Final = "image"
FILE_PROPERTY: Final = {
    "type": "string",
    "format": "image_url",
    "x-assist-type": "image",
    "description": "第一张结果图片，可直接展示给用户。",
}
_TASK_ARGUMENTS: Final = {
    "type": "object",
    "required": ["taskId"],
    "properties": {"taskId": {"type": "string", "description": "任务 id：其他 PODI 工具返回的 taskId，原样填入。"}},
}
_TASK_SUMMARY: Final = (
    "PODI · 查询任务结果：taskStatus 为 running 表示还没完成，请稍后再查；"
    "succeeded 时读取结果；failed 时读取 errorMessage。"
)


@dataclass(frozen=True, kw_only=True)
class LocalTool:
    """A tool as the bot sees it. `offer` is None for the one that asks about a task."""

    name: str
    summary: str
    arguments: Mapping[str, Any]
    offer: Offer | None = None


def local_tools(offers: Sequence[Offer]) -> dict[str, LocalTool]:
    """By the name that a tool call carries (`x-functionName`): letters, digits and `_`, at most 30."""
    ids = naming.operation_ids((offer.ability.provider, offer.ability.capability_key) for offer in offers)
    tools = {}
    for offer in offers:
        ability = offer.ability
        name = ids[ability.provider, ability.capability_key]
        arguments = dict(properties.body_schema(ability, collapse=False))
        arguments["properties"] = {
            key: value for key, value in arguments["properties"].items() if key != translate.DRY_RUN
        }
        tools[name] = LocalTool(name=name, summary=openapi.summary_of(ability), arguments=arguments, offer=offer)
    tools[naming.TASK_GET] = LocalTool(name=naming.TASK_GET, summary=_TASK_SUMMARY, arguments=_TASK_ARGUMENTS)
    return tools


def write_plugin(folder: Path, tools: Mapping[str, LocalTool], *, contact: str, address: str) -> list[Path]:
    """`plugin.json`, `plugin.yaml` and `tools.md` in this folder, which is made. Gives what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "plugin.json": json.dumps(manifest(contact=contact, address=address), ensure_ascii=False, indent=2) + "\n",
        "plugin.yaml": yaml.safe_dump(document(tools), allow_unicode=True, sort_keys=False, width=100),
        "tools.md": table(tools),
    }
    written = []
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def manifest(*, contact: str, address: str) -> dict[str, Any]:
    """The manifest. Its address is never called: a local plugin is run by whoever opened the chat."""
    return {
        "schema_version": "v1",
        "name_for_model": NAME,
        "name_for_human": TITLE,
        "description_for_model": ABOUT,
        "description_for_human": ABOUT,
        "auth": {"type": "none", "service_token": "", "sub_type": "", "payload": ""},
        "logo_url": "",
        "contact_email": contact,
        "legal_info_url": "",
        "api": {"type": "localplugin", "url": address},
        "common_params": {"body": [], "header": [], "path": [], "query": []},
        "select_mode": "",
        "api_extend": "",
        "description_for_claude3": "",
    }


def document(tools: Mapping[str, LocalTool]) -> dict[str, Any]:
    """OpenAPI 3.0.1 without servers; arguments are query parameters, as Coze's own example has them."""
    return {
        "openapi": "3.0.1",
        "info": {"title": TITLE, "description": ABOUT, "version": openapi.VERSION},
        "paths": {f"/{tool.name}": {"post": _operation(tool)} for tool in tools.values()},
    }


def answer_properties() -> dict[str, Any]:
    found = {name: about for name, about in openapi.answer_schema()["properties"].items() if name not in HIDDEN}
    return {FILE_ID: FILE_PROPERTY, **found}


def table(tools: Mapping[str, LocalTool]) -> str:
    """Every tool with its arguments, for typing in by hand."""
    lines = [f"# {TITLE}", "", ABOUT, ""]
    for tool in tools.values():
        lines += [f"## {tool.name}", "", tool.summary, "", "| 参数 | 类型 | 必填 | 说明 |", "|---|---|---|---|"]
        required = set(tool.arguments.get("required") or ())
        for name, about in tool.arguments["properties"].items():
            must = "是" if name in required else "否"
            text = str(about.get("description", "")).replace("|", "\\|").replace("\n", " ")
            lines.append(f"| `{name}` | {about['type']} | {must} | {text} |")
        lines.append("")
    lines += ["## 返回", "", "| 字段 | 类型 | 说明 |", "|---|---|---|"]
    lines += [f"| `{name}` | {about['type']} | {about['description']} |" for name, about in answer_properties().items()]
    return "\n".join(lines) + "\n"


def _operation(tool: LocalTool) -> dict[str, Any]:
    required = set(tool.arguments.get("required") or ())
    parameters = []
    for name, about in tool.arguments["properties"].items():
        schema = {key: value for key, value in about.items() if key != "description"}
        parameters.append(
            {
                "name": name,
                "in": "query",
                "description": str(about.get("description", "")),
                "required": name in required,
                "schema": schema,
            }
        )
    return {
        "operationId": tool.name,
        "summary": tool.summary,
        "x-functionName": tool.name,
        "parameters": parameters,
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {
                "description": "结果或任务状态",
                "content": {"application/json": {"schema": {"type": "object", "properties": answer_properties()}}},
            },
            "default": {"description": ""},
        },
    }
