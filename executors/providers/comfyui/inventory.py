"""What a node has (node types, models, devices), what a graph needs of it, and what therefore is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from executors.providers.base import ProviderError, ProviderRejected, ProviderUnintelligible
from executors.providers.comfyui.graph import node_classes
from executors.providers.comfyui.node import Node
from executors.providers.comfyui.refusals import as_mapping

LOADERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "checkpoint": (("CheckpointLoaderSimple", "ckpt_name"), ("CheckpointLoader", "ckpt_name")),
    "unet": (("UNETLoader", "unet_name"), ("UnetLoaderGGUF", "unet_name")),
    "clip": (
        ("CLIPLoader", "clip_name"),
        ("DualCLIPLoader", "clip_name1"),
        ("DualCLIPLoader", "clip_name2"),
        ("TripleCLIPLoader", "clip_name1"),
        ("TripleCLIPLoader", "clip_name2"),
        ("TripleCLIPLoader", "clip_name3"),
    ),
    "vae": (("VAELoader", "vae_name"),),
    "lora": (("LoraLoader", "lora_name"), ("LoraLoaderModelOnly", "lora_name")),
    "controlnet": (("ControlNetLoader", "control_net_name"),),
    "upscale": (("UpscaleModelLoader", "model_name"),),
    "clip_vision": (("CLIPVisionLoader", "clip_name"),),
    "style": (("StyleModelLoader", "style_model_name"),),
}
"""Kind of model to the loaders and inputs that take it. What a loader lists counts, not what lies in a folder."""

_CATEGORY_OF = {place: kind for kind, places in LOADERS.items() for place in places}
_STATS_SHOWN = ("os", "comfyui_version", "python_version", "pytorch_version", "ram_total", "ram_free")


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """How much a node has to do. `is_supported` is False where the server has no queue to ask."""

    running: int
    pending: int
    queue_max_size: int | None = None
    is_supported: bool = True
    message: str = ""
    raw: Any = None


@dataclass(frozen=True, kw_only=True)
class NodeModels:
    """The choices of a node's loaders by kind of model; `node_keys` only where they were asked for."""

    models: Mapping[str, tuple[str, ...]]
    node_keys: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a graph needs: node types, and model files by kind."""

    nodes: tuple[str, ...]
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_models(node: Node, *, include_nodes: bool = False) -> NodeModels:
    """The models, from the loaders' own definitions (a millisecond each), or from all of them when nodes are wanted.

    Raises ProviderError with the codes COMFYUI_OBJECT_INFO_ERROR and COMFYUI_OBJECT_INFO_INVALID.
    """
    with coded("COMFYUI_OBJECT_INFO"):
        if include_nodes:
            definitions: Mapping[str, Any] = node.read_definitions()
        else:
            names = dict.fromkeys(name for places in LOADERS.values() for name, _input in places)
            definitions = {name: found for name in names if (found := node.read_definition(name)) is not None}
        return NodeModels(models=models_in(definitions), node_keys=tuple(definitions) if include_nodes else None)


def read_queue_status(node: Node) -> QueueStatus:
    """The queue in numbers. Codes: COMFYUI_QUEUE_STATUS_ERROR, COMFYUI_QUEUE_STATUS_INVALID."""
    try:
        with coded("COMFYUI_QUEUE_STATUS"):
            queue = node.read_queue()
    except ProviderRejected as error:
        # 404 or 405: something answers there, but it has no queue.
        return QueueStatus(running=0, pending=0, is_supported=False, message=error.message)
    # Each item holds a whole graph with somebody's prompts; number and id are all that is told.
    raw = {
        key: [item[:2] for item in queue.raw[key] if isinstance(item, list)]
        for key in ("queue_running", "queue_pending")
    }
    return QueueStatus(running=len(queue.running), pending=len(queue.pending), raw=raw)


def read_system_stats(node: Node) -> Mapping[str, Any]:
    """Versions, memory and devices as the node tells them, without its command line. COMFYUI_SYSTEM_STATS_ERROR."""
    with coded("COMFYUI_SYSTEM_STATS"):
        stats = node.read_system_stats()
    system = {key: value for key, value in as_mapping(stats.get("system")).items() if key != "argv"}
    return {**stats, "system": system}


def summarise_stats(stats: Mapping[str, Any]) -> dict[str, Any]:
    """The few facts of `/system_stats` that are kept with an executor."""
    system = as_mapping(stats.get("system"))
    devices = stats.get("devices")
    return {
        "system": {key: system[key] for key in _STATS_SHOWN if key in system},
        "devices": [
            {key: device.get(key) for key in ("name", "type", "vram_total", "vram_free")}
            for device in (devices if isinstance(devices, list) else [])
            if isinstance(device, Mapping)
        ],
    }


def models_in(definitions: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The model files that the loaders among these definitions offer, by kind, each once."""
    found: dict[str, tuple[str, ...]] = {}
    for kind, places in LOADERS.items():
        names: dict[str, None] = {}
        for class_type, input_key in places:
            names.update(dict.fromkeys(read_choices(as_mapping(definitions.get(class_type)), input_key)))
        found[kind] = tuple(names)
    return found


def read_choices(definition: Mapping[str, Any], input_key: str) -> tuple[str, ...]:
    """The choices of an input, in either notation: `[[...], {}]` or `["COMBO", {"options": [...]}]`."""
    for section in ("required", "optional"):
        spec = as_mapping(as_mapping(definition.get("input")).get(section)).get(input_key)
        if not isinstance(spec, list) or not spec:
            continue
        options = as_mapping(spec[1]).get("options") if len(spec) > 1 else None
        choices = spec[0] if isinstance(spec[0], list) else options
        return tuple(choice for choice in choices or () if isinstance(choice, str))
    return ()


def requirements_of(graph: Mapping[str, Any]) -> Requirements:
    """What a graph for `/prompt` needs of a node, read from the graph itself."""
    models: dict[str, dict[str, None]] = {}
    for node in graph.values():
        for input_key, value in as_mapping(node.get("inputs")).items():
            kind = _CATEGORY_OF.get((str(node.get("class_type")), input_key))
            if kind is not None and isinstance(value, str):
                models.setdefault(kind, {})[value] = None
    return Requirements(nodes=node_classes(graph), models={kind: tuple(names) for kind, names in models.items()})


def find_missing(
    needs: Requirements, *, node_keys: Sequence[str], models: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """What a node with these types and models lacks; empty when it can run the graph. Keys: `nodes`, kinds of model."""
    known = set(node_keys)
    missing: dict[str, Any] = {}
    if lacking := [name for name in needs.nodes if name not in known]:
        missing["nodes"] = lacking
    for kind, names in needs.models.items():
        offered = {_with_slashes(name) for name in models.get(kind, ())}
        if lacking := [name for name in names if _with_slashes(name) not in offered]:
            missing[kind] = lacking
    return missing


@contextmanager
def coded(name: str) -> Iterator[None]:
    """Gives failures inside the code `<name>_ERROR`, or `<name>_INVALID` when the answer could not be read."""
    try:
        yield
    except ProviderError as error:
        error.code = f"{name}_INVALID" if isinstance(error, ProviderUnintelligible) else f"{name}_ERROR"
        raise


def _with_slashes(name: str) -> str:
    # Servers on Windows list files in subfolders with a backslash.
    return name.replace("\\", "/")
