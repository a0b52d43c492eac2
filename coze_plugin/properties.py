"""An ability's fields as properties of an OpenAPI 3.0 body: real types, and Chinese that a model can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from abilities import services as abilities
from abilities.models import Ability
from coze_plugin import translate

MAX_DESCRIPTION: Final = 300
SAMPLE_PICTURE: Final = "https://example.com/picture.png"
MAIN_PICTURE: Final = "url"
_COLLAPSED: Final = frozenset({"image_url", "imageUrl", "image", "images"})
PICTURE: Final = {"type": "string", "format": "image_url", "x-assist-type": "image"}


def body_schema(ability: Ability, *, collapse: bool) -> dict[str, Any]:
    """The request body. `collapse`: the main picture is called `url`, as in the filtered documents."""
    fields = abilities.fields_of(ability.input_schema)
    defaults = ability.default_params or {}
    names = wire_names(fields, collapse=collapse)
    properties = {names[field["name"]]: property_of(field, defaults.get(field["name"])) for field in fields}
    metadata = ability.metadata or {}
    if metadata.get("requires_image_input") and not _takes_pictures(fields):
        name = MAIN_PICTURE if collapse else "imageUrl"
        properties.setdefault(name, {**PICTURE, "description": "要处理的图片的链接，需能公开访问。"})
    properties |= {name: extra for name, extra in _extras(ability).items() if name not in properties}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [names[field["name"]] for field in fields if field.get("required")]:
        schema["required"] = required
    return schema


def wire_names(fields: Sequence[Mapping[str, Any]], *, collapse: bool) -> dict[str, str]:
    """What each field is called in the document. Only one field becomes `url`, and only where none is called so."""
    names = {field["name"]: str(field["name"]) for field in fields}
    main = next((field for field in fields if field.get("type") == "image"), None)
    if collapse and main and main["name"] in _COLLAPSED and not main.get("multiple") and MAIN_PICTURE not in names:
        names[main["name"]] = MAIN_PICTURE
    return names


def property_of(field: Mapping[str, Any], default: Any = None) -> dict[str, Any]:
    """One field. A default that does not fit is left out: Coze refuses a document with a wrong one."""
    kind = field.get("type", "text")
    found = _typed(field)
    value = default if default not in (None, "", []) else field.get("default")
    if kind != "image" and value not in (None, "", []):
        try:
            found["default"] = _fitting(found, abilities.coerce(field, value))
        except ValueError:
            found.pop("default", None)
    text, keeps_enum = describe(field, found.get("default"), enum=found.get("enum"))
    if not keeps_enum:
        found.pop("enum", None)
    return {**found, "description": text}


def describe(field: Mapping[str, Any], default: Any, *, enum: Sequence[Any] | None) -> tuple[str, bool]:
    """The description, at most 300 characters, and whether every value of the enumeration found room in it."""
    tail = "".join(f"；{part}" for part in _facts(field, default))
    keeps_enum = True
    if enum:
        for options in (_options(field, labels=True), _options(field, labels=False)):
            if len(options) + len(tail) <= MAX_DESCRIPTION - 40:
                tail = f"；只能填：{options}{tail}"
                break
        else:
            keeps_enum = False
    head = "：".join(
        part for part in (str(field.get("label") or field["name"]), str(field.get("description") or "")) if part
    )
    head = head.rstrip("。；; ")
    room = MAX_DESCRIPTION - len(tail) - 1
    return (head if len(head) <= room else head[: room - 1] + "…") + tail + "。", keeps_enum


def example_of(ability: Ability, *, collapse: bool, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A body that the ability takes: its own example where it has one, and something fitting for what is required."""
    fields = abilities.fields_of(ability.input_schema)
    names = wire_names(fields, collapse=collapse)
    given = (ability.metadata or {}).get("example") or {}
    example = {}
    for field in fields:
        wire = names[field["name"]]
        value = _example_value(field, given.get(field["name"]), schema["properties"][wire])
        if value is not None:
            example[wire] = value
    return example


def _typed(field: Mapping[str, Any]) -> dict[str, Any]:
    kind = field.get("type", "text")
    if kind == "number":
        found: dict[str, Any] = {"type": "integer" if _is_whole(field) else "number"}
        bounds = (("minimum", field.get("min")), ("maximum", field.get("max")))
        return found | {name: bound for name, bound in bounds if bound is not None}
    if kind == "switch":
        return {"type": "boolean"}
    if kind == "select":
        return _choice(field)
    if kind == "image" and field.get("multiple"):
        return {"type": "array", "items": {**PICTURE, "description": "图片链接"}}
    if kind == "image":
        return dict(PICTURE)
    return {"type": "string"}


def _choice(field: Mapping[str, Any]) -> dict[str, Any]:
    values = list(dict.fromkeys(abilities.option_values(field)))
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return {"type": "integer", "enum": values}
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {"type": "number", "enum": values}
    return {"type": "string", "enum": list(dict.fromkeys(str(value) for value in values))}


def _is_whole(field: Mapping[str, Any]) -> bool:
    """Pixels and counted things are whole: the step says so, or the unit does."""
    step = field.get("step")
    if step is not None:
        return isinstance(step, int) and not isinstance(step, bool)
    bounds = [field.get(name) for name in ("min", "max", "default") if field.get(name) not in (None, "")]
    return field.get("unit") == "px" and all(isinstance(bound, int) for bound in bounds)


def _fitting(found: Mapping[str, Any], value: Any) -> Any:
    """A value in the declared type. ValueError where it cannot be one."""
    if found["type"] == "string":
        value = str(value).lower() if isinstance(value, bool) else str(value)
    if found["type"] == "integer" and not (isinstance(value, int) and not isinstance(value, bool)):
        raise ValueError(value)
    if "enum" in found and value not in found["enum"]:
        raise ValueError(value)
    return value


def _facts(field: Mapping[str, Any], default: Any) -> list[str]:
    facts = []
    minimum, maximum = field.get("min"), field.get("max")
    if minimum is not None and maximum is not None:
        facts.append(f"范围 {minimum} 到 {maximum}")
    elif minimum is not None or maximum is not None:
        facts.append(f"最小 {minimum}" if minimum is not None else f"最大 {maximum}")
    if field.get("unit"):
        facts.append(f"单位 {field['unit']}，只填数字")
    if field.get("type") == "image" and field.get("multiple") and "最多" not in str(field.get("description")):
        facts.append(f"最多 {int(field.get('max_items') or 20)} 张")
    if default is not None:
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        facts.append(f"不填则用默认值 (default={shown[:60]})")
    elif not field.get("required") and "不填" not in str(field.get("description")):
        facts.append("可不填")
    return facts


def _options(field: Mapping[str, Any], *, labels: bool) -> str:
    shown = []
    for option in field.get("options") or []:
        value, label = (option["value"], option.get("label")) if isinstance(option, Mapping) else (option, None)
        shown.append(f"{value}（{label}）" if labels and label and str(label) != str(value) else str(value))
    return "、".join(shown)


def _example_value(field: Mapping[str, Any], given: Any, found: Mapping[str, Any]) -> Any:
    if field.get("type") == "image":
        if given in (None, "") and not field.get("required"):
            return None
        pictures = [link for link in (given if isinstance(given, list) else [given]) if isinstance(link, str) and link]
        pictures = pictures or [SAMPLE_PICTURE]
        return pictures if found["type"] == "array" else pictures[0]
    if given in (None, ""):
        if not field.get("required"):
            return None
        fallback = {"boolean": False, "integer": found.get("minimum", 1), "number": found.get("minimum", 1)}
        first = found["enum"][0] if found.get("enum") else fallback.get(found["type"], "示例")
        return found.get("default", first)
    try:
        return _fitting(found, abilities.coerce(field, given))
    except ValueError:
        return None


def _takes_pictures(fields: Sequence[Mapping[str, Any]]) -> bool:
    return any(field.get("type") == "image" or field["name"] in _COLLAPSED | {MAIN_PICTURE} for field in fields)


def _extras(ability: Ability) -> dict[str, dict[str, Any]]:
    """What every tool takes besides its ability's fields."""
    extras: dict[str, dict[str, Any]] = {}
    if ability.provider == "comfyui":
        extras[translate.EXECUTOR_ID] = {
            "type": "string",
            "description": "指定执行节点（podi_comfyui_queue_summary 的 executorId）；不填则自动选择节点。",
        }
    extras[translate.DRY_RUN] = DRY_RUN_PROPERTY
    return extras


DRY_RUN_PROPERTY: Final = {
    "type": "boolean",
    "description": "仅用于调试和发布：填 true 时不真正执行、不产生任何费用，直接返回示例结果。正式使用时不要填。",
}
