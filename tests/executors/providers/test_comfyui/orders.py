"""Orders for a simulated node, and what a test asks about them."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image

from executors.providers.base import Endpoint, InputFile, Order, ProviderRejected, Report
from executors.providers.comfyui import ComfyUIProvider
from tests.simulators.comfyui import ComfyUISimulator

IMAGE_LINE = {"field": "image_url", "node_id": "1", "input_key": "image", "value_type": "image"}
SCALE: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "stored.png"}},
    "2": {
        "class_type": "ImageScale",
        "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "width": 32, "height": 32, "crop": "disabled"},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "stored"}},
}


def endpoint_of(node: ComfyUISimulator, **options: Any) -> Endpoint:
    return Endpoint(
        kind="comfyui",
        executor_id="node-a",
        base_url=node.url,
        options={"stall_check_s": 0.1, **options},
        connect_timeout_s=1,
        read_timeout_s=1,
    )


def order(
    graph: Mapping[str, Any],
    *,
    lines: tuple[dict[str, Any], ...] = (),
    params: Mapping[str, Any] | None = None,
    files: tuple[InputFile, ...] = (),
    outputs: tuple[str, ...] = ("9",),
) -> Order:
    return Order(
        task_id="task-1",
        operation="test",
        params=params or {},
        files=files,
        workflow={"definition": {"graph": graph}, "input_node_map": lines, "output_node_ids": outputs},
        ref=str(uuid.uuid4()),
    )


def coloured(seed: int = 0, **nodes: Any) -> dict[str, Any]:
    """A graph without inputs that makes one picture."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": seed}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "c"}},
        **nodes,
    }


def run(node: ComfyUISimulator, provider: ComfyUIProvider, wanted: Order) -> Report:
    ref = provider.submit(wanted).ref
    node.wait_until(ref)
    return provider.poll([ref])[ref]


def picture_of(provider: ComfyUIProvider, report: Report, index: int = 0) -> Image.Image:
    return Image.open(io.BytesIO(b"".join(provider.open_output(report.outputs[index]))))


def posted(node: ComfyUISimulator, index: int = -1) -> dict[str, Any]:
    """The body of a prompt as the node received it."""
    return json.loads(node.requests_to("POST", "/prompt")[index]["body"])


def refused(provider: ComfyUIProvider, wanted: Order) -> ProviderRejected:
    with pytest.raises(ProviderRejected) as caught:
        provider.submit(wanted)
    return caught.value
