"""The `comfyui` provider keeps the contract of all providers, against a server of the older and of the newer kind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from executors.providers.base import Endpoint, Order
from executors.providers.comfyui import ComfyUIProvider
from tests.executors.providers.contract import RETRY_AFTER_S, SECRET, ProviderContract, Stage, Trouble
from tests.executors.providers.pictures import input_file, png
from tests.simulators.comfyui import ComfyUISimulator

ROUTES = {"submit": "POST /prompt", "poll": "GET /queue"}
GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "stored.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}
WORKFLOW = {
    "definition": {"workflow_key": "invert", "graph": GRAPH},
    "input_node_map": [{"field": "image_url", "node_id": "1", "input_key": "image", "value_type": "image"}],
    "output_node_ids": ["9"],
}
FAULTS: dict[Trouble, dict[str, Any]] = {
    Trouble.BUSY: {"kind": "status", "status": 429, "headers": {"Retry-After": str(RETRY_AFTER_S)}},
    Trouble.REJECTED: {
        "kind": "status",
        "status": 400,
        "content_type": "application/json",
        "body": '{"error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "", '
        '"extra_info": {}}, "node_errors": {}}',
    },
    Trouble.CUT_UNANSWERED: {"kind": "cut_after"},
    Trouble.CUT_ANSWER: {"kind": "cut_answer"},
    Trouble.NO_ANSWER: {"kind": "hang_after"},
    Trouble.PROXY_ERROR: {"kind": "status", "status": 502},
    Trouble.GARBAGE: {"kind": "garbage"},
}


class ComfyUIStage(Stage):
    def __init__(self, node: ComfyUISimulator) -> None:
        self.node = node
        node.worker.holds_jobs = True
        self.endpoint = Endpoint(
            kind="comfyui",
            executor_id="node-a",
            base_url=node.url,
            secrets={"token": SECRET},
            connect_timeout_s=0.5,
            read_timeout_s=0.5,
        )

    def order(self, *, number: int = 0) -> Order:
        picture = input_file(png(size=(4 + number, 3)))
        return Order(
            task_id=f"t{number}",
            operation="invert",
            params={},
            files=(picture,),
            workflow=WORKFLOW,
            ref=str(uuid.uuid4()),
        )

    def count_submits(self) -> int:
        return len(self.node.requests_to("POST", "/prompt"))

    def disturb(self, call: Literal["submit", "poll"], trouble: Trouble) -> None:
        self.node.faults.clear()
        self.node.add_fault(ROUTES[call], times=None, **FAULTS[trouble])

    def calm(self) -> None:
        self.node.faults.clear()

    def start(self, ref: str) -> None:
        self.node.wait_for_start(ref)

    def finish(self, ref: str) -> None:
        self.node.worker.released.add(ref)
        self.node.wait_until(ref)

    def fail(self, ref: str) -> None:
        self.node.worker.failing.add(ref)
        self.finish(ref)

    def unknown_ref(self) -> str:
        return str(uuid.uuid4())


class _Contract(ProviderContract):
    provider_class = ComfyUIProvider
    version: str

    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        with ComfyUISimulator(version=self.version) as node:
            yield ComfyUIStage(node)


class TestOlderComfyUI(_Contract):
    version = "0.3.64"


class TestNewerComfyUI(_Contract):
    version = "0.25.0"
