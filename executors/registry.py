"""Which provider kinds exist: the only place that imports concrete adapters, and what only one of them can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from executors.errors import ExecutorTypeMismatch, ProviderKindUnsupported
from executors.providers.base import Provider, ProviderRejected
from executors.providers.comfyui import ComfyUIProvider, editor, graph
from executors.providers.comfyui import inventory as node_inventory
from executors.providers.comfyui.inventory import QueueStatus
from executors.providers.coze import CozeProvider
from executors.providers.jianying.adapter import JianYingProvider
from executors.providers.podi import PodiProvider

__all__ = [
    "ComfyUIProvider",
    "QueueStatus",
    "as_comfyui",
    "find_graph_problem",
    "find_missing",
    "provider_class",
    "provider_kinds",
    "read_requirements",
]

_PROVIDERS: dict[str, type[Provider]] = {
    cls.kind: cls for cls in (PodiProvider, ComfyUIProvider, CozeProvider, JianYingProvider)
}


def provider_kinds() -> tuple[str, ...]:
    """Every kind an executor may have, in a fixed order."""
    return tuple(sorted(_PROVIDERS))


def provider_class(kind: str) -> type[Provider]:
    """The adapter of this kind. Raises ABILITY_PROVIDER_UNSUPPORTED:<kind>."""
    try:
        return _PROVIDERS[kind]
    except KeyError:
        raise ProviderKindUnsupported(kind) from None


def as_comfyui(provider: Provider) -> ComfyUIProvider:
    """For the staff pages about nodes, which ask what only a ComfyUI server can answer."""
    if not isinstance(provider, ComfyUIProvider):
        raise ExecutorTypeMismatch(wanted=ComfyUIProvider.kind, executor_id=provider.endpoint.executor_id)
    return provider


def read_requirements(definition: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored graph needs of a node: `nodes`, and `models` by kind. Empty for what is no ComfyUI graph.

    An editor's export says which node types it needs; its models are known only to the node that converts it.
    """
    try:
        form, nodes = graph.recognise(definition)
    except ProviderRejected:
        return {}
    if form == "editor":
        return {"nodes": sorted(editor.exported_classes(nodes)), "models": {}}
    needs = node_inventory.requirements_of(nodes)
    return {"nodes": sorted(needs.nodes), "models": {kind: sorted(names) for kind, names in needs.models.items()}}


def find_missing(requirements: Mapping[str, Any], inventory: Mapping[str, Any]) -> dict[str, Any]:
    """What a node with this inventory lacks; empty when nothing is known to be missing."""
    if not requirements or "nodes" not in inventory:
        return {}
    needs = node_inventory.Requirements(
        nodes=tuple(requirements.get("nodes", ())),
        models={kind: tuple(names) for kind, names in (requirements.get("models") or {}).items()},
    )
    return node_inventory.find_missing(needs, node_keys=inventory["nodes"], models=inventory.get("models") or {})


def find_graph_problem(definition: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """Why a node could not run this graph with this input map, in a sentence; empty when nothing is wrong."""
    try:
        form, nodes = graph.recognise(definition)
        rules = graph.read_rules(metadata.get("input_node_map") or ())
    except ProviderRejected as error:
        return error.message
    if form == "prompt" and (unknown := sorted({rule.node_id for rule in rules} - {str(key) for key in nodes})):
        return f"The input map names nodes that the graph does not have: {', '.join(unknown)}."
    return ""
