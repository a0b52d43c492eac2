"""From a stored workflow and an order to the graph that `POST /prompt` takes. Pure functions, no network."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from executors.providers.base import ProviderRejected
from executors.providers.comfyui.values import choose_value, convert_value, floor_to_multiple

Graph = dict[str, dict[str, Any]]
"""Node id to {class_type, inputs}; an input is a literal or a link [node id, output number]."""

SEED_PARAMS = ("seed", "random_seed", "randomSeed", "sampler_seed", "samplerSeed")
SEED_INPUTS = ("seed", "noise_seed")
MAX_RANDOM_SEED = 2**48
_IMAGE_LOADERS = frozenset({"LoadImage", "LoadImageMask", "LoadImageOutput"})


@dataclass(frozen=True, kw_only=True)
class InputRule:
    """One line of an input map: which field of the caller goes into which input of which node."""

    names: tuple[str, ...]
    node_id: str
    input_key: str
    value_type: str = "text"
    multiple_of: int = 0
    choices: Mapping[str, Any] = field(default_factory=dict)
    index: int = 0
    is_optional: bool = False

    @property
    def is_image(self) -> bool:
        return self.value_type == "image"


def recognise(definition: Mapping[str, Any]) -> tuple[Literal["prompt", "editor"], Mapping[str, Any]]:
    """Which format a stored definition has, and the graph inside it.

    A definition is a graph for `/prompt`, or an editor's export (`nodes` and `links`), bare or under `graph`,
    `prompt` or `workflow`. Raises ProviderRejected COMFYUI_WORKFLOW_EMPTY for anything else.
    """
    if isinstance(definition.get("nodes"), list) and "links" in definition:
        return "editor", definition
    for key in ("graph", "prompt", "workflow"):
        inner = definition.get(key)
        if isinstance(inner, Mapping) and "class_type" not in inner:
            return recognise(inner)
    nodes = {key: node for key, node in definition.items() if isinstance(node, Mapping) and "class_type" in node}
    if nodes:
        return "prompt", nodes
    raise ProviderRejected("The workflow holds no graph that a ComfyUI node could run.", code="COMFYUI_WORKFLOW_EMPTY")


def copy_graph(nodes: Mapping[str, Any]) -> Graph:
    """A graph of our own to change; the stored one is never touched."""
    return {
        str(key): {**copy.deepcopy(dict(node)), "inputs": copy.deepcopy(dict(node.get("inputs") or {}))}
        for key, node in nodes.items()
    }


def read_rules(input_node_map: Sequence[Mapping[str, Any]]) -> tuple[InputRule, ...]:
    """The lines of an input map, in every spelling the contract allows."""
    return tuple(_read_rule(line) for line in input_node_map)


def _read_rule(line: Mapping[str, Any]) -> InputRule:
    name = _first(line, "field", "name", "param")
    node_id = _first(line, "node_id", "nodeId")
    input_key = _first(line, "input_key", "inputKey", "input")
    if name is None or node_id is None or input_key is None:
        raise ProviderRejected(
            "A line of the workflow's input map lacks its field, node_id or input_key.", code="COMFYUI_SUBMIT_ERROR"
        )
    return InputRule(
        names=(str(name), *map(str, line.get("aliases") or ())),
        node_id=str(node_id),
        input_key=str(input_key),
        value_type=str(_first(line, "value_type", "valueType", "type") or "text").lower(),
        multiple_of=int(line.get("multiple_of") or 0),
        choices=line.get("choices") or {},
        index=int(line.get("index") or 0),
        is_optional=bool(line.get("optional")),
    )


def apply_params(graph: Graph, rules: Sequence[InputRule], params: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Writes the caller's values into the graph; absent ones leave what the graph holds. Returns what was set."""
    written: set[tuple[str, str]] = set()
    for rule in rules:
        if rule.is_image:
            continue
        value = _find_value(rule, params)
        if value is None:
            continue
        node = _find_node(graph, rule)
        if rule.input_key == "image" and node.get("class_type") in _IMAGE_LOADERS:
            # A loader takes any path it is told, also out of its own folder: names are ours alone.
            raise ProviderRejected(
                f"The workflow's input map must give {rule.names[0]} the type image.", code="COMFYUI_SUBMIT_ERROR"
            )
        node["inputs"][rule.input_key] = _convert(rule, value)
        written.add((rule.node_id, rule.input_key))
    return written


def put_image(graph: Graph, rule: InputRule, uploaded_name: str) -> None:
    """Puts an uploaded picture where the rule says; a loader by URL becomes a core LoadImage and fetches nothing."""
    node = _find_node(graph, rule)
    if rule.input_key == "url":
        node["class_type"] = "LoadImage"
        node["inputs"] = {"image": uploaded_name}
    else:
        node["inputs"][rule.input_key] = uploaded_name


def apply_seed(
    graph: Graph,
    params: Mapping[str, Any],
    *,
    random_seed: int,
    mapped: set[tuple[str, str]],
    keep_stored: bool = False,
) -> int | None:
    """Gives every sampler its seed: the caller's, else `random_seed`. Returns the seed used, None if there was none.

    Only None and "" mean absent; a seed of 0 stays 0. Inputs in `mapped` were set by the input map and are left alone.
    """
    given = next((params[name] for name in SEED_PARAMS if params.get(name) not in (None, "")), None)
    seed = random_seed if given is None else convert_value("seed", given, "int")
    if given is None and keep_stored:
        return None
    used = False
    for node_id, key in _seed_inputs(graph):
        if (node_id, key) not in mapped:
            graph[node_id]["inputs"][key] = seed
            used = True
    return seed if used else None


def name_outputs(graph: Graph, prefix: str) -> None:
    """Gives every saved file a name of this job alone.

    A node gives a deleted file's name to another picture later, and answers an identical graph from its cache with the
    earlier file, even when that is gone. A prefix of its own makes the saving node run anew and the name unique.
    """
    for node_id, node in graph.items():
        if isinstance(node["inputs"].get("filename_prefix"), str):
            node["inputs"]["filename_prefix"] = f"{prefix}-{node_id.replace(':', '_')}"


def node_classes(graph: Mapping[str, Any]) -> tuple[str, ...]:
    """The node types a graph needs, each once, in order of appearance."""
    return tuple(dict.fromkeys(str(node["class_type"]) for node in graph.values()))


def _seed_inputs(graph: Graph) -> Iterator[tuple[str, str]]:
    for node_id, node in graph.items():
        for key in SEED_INPUTS:
            value = node["inputs"].get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                yield node_id, key


def _find_value(rule: InputRule, params: Mapping[str, Any]) -> Any:
    takes_empty = rule.value_type in ("text", "string") and not rule.choices
    for name in rule.names:
        value = params.get(name)
        if value is not None and (value != "" or takes_empty):
            return value
    return None


def _convert(rule: InputRule, value: Any) -> Any:
    if rule.choices:
        return choose_value(rule.names[0], value, rule.choices)
    value_type = "int" if rule.value_type == "seed" else rule.value_type
    converted = convert_value(rule.names[0], value, value_type)
    if rule.multiple_of and isinstance(converted, int | float):
        return floor_to_multiple(converted, multiple_of=rule.multiple_of)
    # A bare list in a graph is a link: a caller must not be able to rewire it.
    return {"__value__": converted} if isinstance(converted, list) else converted


def _find_node(graph: Graph, rule: InputRule) -> dict[str, Any]:
    try:
        return graph[rule.node_id]
    except KeyError as error:
        raise ProviderRejected(
            f"The workflow's input map names node {rule.node_id}, which is not in the graph.",
            code="COMFYUI_SUBMIT_ERROR",
        ) from error


def _first(line: Mapping[str, Any], *keys: str) -> Any:
    return next((line[key] for key in keys if line.get(key) not in (None, "")), None)
