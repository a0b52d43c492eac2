"""Makes the prompt of an order: converts the stored graph, writes the inputs into it, uploads the pictures."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from executors.providers.base import InputFile, Order, ProviderRejected
from executors.providers.comfyui.editor import convert_export, exported_classes
from executors.providers.comfyui.graph import (
    MAX_RANDOM_SEED,
    Graph,
    InputRule,
    apply_params,
    apply_seed,
    copy_graph,
    name_outputs,
    put_image,
    read_rules,
    recognise,
)
from executors.providers.comfyui.node import Node
from executors.providers.comfyui.refusals import as_mapping

DEFINITIONS_KEPT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A graph ready to be sent, with what must be remembered about it."""

    graph: Graph
    wanted: tuple[str, ...]
    """The output nodes whose results count; empty means all."""
    seed: int | None


class PromptBuilder:
    """Builds prompts for one node. Everything a caller got wrong is refused before anything is uploaded."""

    def __init__(self, node: Node, *, upload_subfolder: str) -> None:
        self.node = node
        self.upload_subfolder = upload_subfolder
        self._definitions: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def build(self, order: Order) -> Prompt:
        """The prompt of this order; its pictures are on the node afterwards. Raises ProviderError."""
        workflow = order.workflow or {}
        graph = self.build_graph(as_mapping(workflow.get("definition")))
        rules = read_rules(workflow.get("input_node_map") or ())
        mapped = apply_params(graph, rules, order.params)
        seed = apply_seed(
            graph,
            order.params,
            random_seed=secrets.randbelow(MAX_RANDOM_SEED),
            mapped=mapped,
            keep_stored=bool(workflow.get("keep_seed") or order.options.get("keep_seed")),
        )
        name_outputs(graph, f"podi/{datetime.now(UTC):%Y-%m-%d}/{order.ref}")
        self._put_images(graph, _choose_files(rules, order))
        wanted = tuple(str(node) for node in workflow.get("output_node_ids") or ())
        return Prompt(graph=graph, wanted=wanted, seed=seed)

    def build_graph(self, definition: Mapping[str, Any]) -> Graph:
        """The stored graph in the form that `/prompt` takes, without anybody's inputs."""
        kind, nodes = recognise(definition)
        if kind == "prompt":
            return copy_graph(nodes)
        return convert_export(nodes, self._read_definitions(exported_classes(nodes)))

    def _put_images(self, graph: Graph, chosen: Sequence[tuple[InputRule, InputFile]]) -> None:
        uploaded: dict[str, str] = {}
        for rule, file in chosen:
            if file.sha256 not in uploaded:
                uploaded[file.sha256] = self.node.upload_image(file, subfolder=self.upload_subfolder)
            put_image(graph, rule, uploaded[file.sha256])

    def _read_definitions(self, classes: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The definitions of these types, asked for anew every few minutes: an updated node pack moves its widgets."""
        now = time.monotonic()
        found: dict[str, Mapping[str, Any]] = {}
        for name in classes:
            kept = self._definitions.get(name)
            definition = kept[1] if kept and now - kept[0] < DEFINITIONS_KEPT_S else self.node.read_definition(name)
            if definition is not None:
                found[name] = definition
                self._definitions[name] = (kept[0] if kept and definition is kept[1] else now, definition)
        return found


def _choose_files(rules: Sequence[InputRule], order: Order) -> list[tuple[InputRule, InputFile]]:
    """Which picture goes where. Raises ProviderRejected COMFYUI_IMAGE_REQUIRED."""
    chosen = []
    for rule in rules:
        if not rule.is_image:
            continue
        files = order.files_of(*rule.names)[rule.index :]
        if files:
            chosen.append((rule, files[0]))
        elif not rule.is_optional:
            name = rule.names[0]
            raise ProviderRejected(
                f"{name} needs a picture.", code="COMFYUI_IMAGE_REQUIRED", fields={name: "A picture is required."}
            )
    return chosen
