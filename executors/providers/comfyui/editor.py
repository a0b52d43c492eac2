"""Turns an editor's export (`nodes`, `links`, `widgets_values`) into a graph for `/prompt`.

The export names no widget: their order is only in the node definitions of the server that will run it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from executors.providers.base import ProviderRejected
from executors.providers.comfyui.graph import Graph

_WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_CONTROL_VALUES = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
_VIRTUAL = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
_MUTED, _BYPASSED = 2, 4
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Source = tuple[str, Any]
"""("link", [node id, output number]) or ("value", literal)."""


def exported_classes(export: Mapping[str, Any]) -> tuple[str, ...]:
    """The node types whose definitions `convert_export` needs. Raises ProviderRejected for exports with subgraphs."""
    if (export.get("definitions") or {}).get("subgraphs") or any(
        _UUID.fullmatch(str(node.get("type"))) for node in export["nodes"]
    ):
        raise ProviderRejected(
            "The workflow uses subgraphs. Export it from the editor in API format and store that instead.",
            code="COMFYUI_SUBMIT_ERROR",
        )
    return tuple(dict.fromkeys(str(node["type"]) for node in export["nodes"] if _is_run(node)))


def convert_export(export: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> Graph:
    """The graph for `/prompt`. `definitions` are the answers of `/object_info`, by node type."""
    missing = [name for name in exported_classes(export) if name not in definitions]
    if missing:
        raise ProviderRejected(
            f"The node lacks these node types: {', '.join(missing)}.",
            code="COMFYUI_SUBMIT_ERROR",
            raw={"missing": {"nodes": missing}},
        )
    links = _Links(export)
    return {
        str(node["id"]): {
            "class_type": str(node["type"]),
            "inputs": _read_inputs(node, definitions[str(node["type"])], links),
            "_meta": {"title": str(node.get("title") or node["type"])},
        }
        for node in export["nodes"]
        if _is_run(node)
    }


class _Links:
    """Follows an export's links through reroutes, primitives and bypassed nodes to what really gives the value."""

    def __init__(self, export: Mapping[str, Any]) -> None:
        self._nodes = {node["id"]: node for node in export["nodes"]}
        self._origins = dict(_read_links(export.get("links") or ()))

    def find_source(self, link_id: Any) -> Source | None:
        seen: set[Any] = set()
        while link_id is not None and link_id not in seen:
            seen.add(link_id)
            node_id, slot = self._origins.get(link_id, (None, 0))
            node = self._nodes.get(node_id)
            if node is None or node.get("mode") == _MUTED:
                return None
            if node["type"] == "PrimitiveNode":
                values = node.get("widgets_values") or [None]
                return None if values[0] is None else ("value", values[0])
            if node["type"] != "Reroute" and node.get("mode") != _BYPASSED:
                return "link", [str(node_id), slot]
            link_id = _bypass(node, slot)
        return None


def _read_links(links: Sequence[Any]) -> Iterator[tuple[Any, tuple[Any, int]]]:
    """Link id to (origin node, origin slot); links are lists in most exports and objects in the newest schema."""
    for link in links:
        if isinstance(link, Mapping):
            yield link["id"], (link["origin_id"], int(link["origin_slot"]))
        elif link:
            yield link[0], (link[1], int(link[2]))


def _bypass(node: Mapping[str, Any], slot: int) -> Any:
    """The link that a reroute or bypassed node passes on: the input of the output's type, the same place preferred."""
    inputs = node.get("inputs") or []
    if node["type"] == "Reroute":
        return inputs[0].get("link") if inputs else None
    outputs = node.get("outputs") or []
    wanted = outputs[slot].get("type") if slot < len(outputs) else None
    same_place = inputs[slot : slot + 1]
    return next((item.get("link") for item in [*same_place, *inputs] if item.get("type") == wanted), None)


def _is_run(node: Mapping[str, Any]) -> bool:
    return node.get("type") not in _VIRTUAL and node.get("mode") not in (_MUTED, _BYPASSED)


def _read_inputs(node: Mapping[str, Any], definition: Mapping[str, Any], links: _Links) -> dict[str, Any]:
    inputs = _read_widgets(node.get("widgets_values") or [], definition)
    for item in node.get("inputs") or ():
        if item.get("link") is None:
            continue
        source = links.find_source(item["link"])
        if source is not None:
            inputs[str(item["name"])] = source[1]
    return inputs


def _read_widgets(stored: Any, definition: Mapping[str, Any]) -> dict[str, Any]:
    widgets = list(_find_widgets(definition))
    if isinstance(stored, Mapping):
        return {name: _wrap(stored[name]) for name, _spec in widgets if name in stored}
    values: dict[str, Any] = {}
    cursor = 0
    for position, (name, spec) in enumerate(widgets):
        if cursor >= len(stored):
            default = _options(spec).get("default")
            if default is not None:
                values[name] = default
            continue
        values[name] = _wrap(stored[cursor])
        cursor += 1
        widgets_left = len(widgets) - position - 1
        if len(stored) - cursor > widgets_left and stored[cursor] in _CONTROL_VALUES and _has_control(name, spec):
            cursor += 1
    return values


def _find_widgets(definition: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """The inputs that are widgets, in the order in which the editor stores their values."""
    for section in ("required", "optional"):
        specs = (definition.get("input") or {}).get(section) or {}
        order = (definition.get("input_order") or {}).get(section) or list(specs)
        for name in order:
            spec = specs.get(name) or []
            is_widget = bool(spec) and (isinstance(spec[0], list) or spec[0] in _WIDGET_TYPES)
            if is_widget and not _options(spec).get("forceInput"):
                yield name, spec


def _has_control(name: str, spec: Sequence[Any]) -> bool:
    """Whether the editor stores a control_after_generate value behind this one; it always does for seeds."""
    return bool(_options(spec).get("control_after_generate")) or name in ("seed", "noise_seed")


def _options(spec: Sequence[Any]) -> Mapping[str, Any]:
    return spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}


def _wrap(value: Any) -> Any:
    # A list in a graph is read as a link; the editor itself wraps list values like this.
    return {"__value__": value} if isinstance(value, list) else value
