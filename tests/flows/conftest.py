"""A simulated node, an executor that points to it, and an ability that runs a graph on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from abilities import runner, services
from abilities.models import Ability
from executors.models import Executor, Workflow
from tests.abilities.conftest import Api, api, operator, png_base64, staff_api, upscale, user
from tests.simulators.comfyui import ComfyUISimulator

__all__ = ["Api", "api", "operator", "png_base64", "staff_api", "upscale", "user"]

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "stored.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


@pytest.fixture
def node() -> Iterator[ComfyUISimulator]:
    with ComfyUISimulator() as simulator:
        yield simulator


@pytest.fixture
def polling() -> Iterator[runner.Polling]:
    found = runner.Polling()
    yield found
    found.close()


@pytest.fixture
def executor(db: None, node: ComfyUISimulator) -> Executor:
    return Executor.objects.create(
        id="node_a", name="Node A", type="comfyui", base_url=node.url, status="active", max_concurrency=4
    )


@pytest.fixture
def invert(db: None) -> Ability:
    workflow = Workflow.objects.create(
        id="wf_invert",
        action="invert",
        name="invert",
        type="comfyui",
        status="active",
        definition={"workflow_key": "invert", "graph": GRAPH},
        metadata={
            "workflow_key": "invert",
            "input_node_map": [{"field": "image_url", "node_id": "1", "input_key": "image", "value_type": "image"}],
            "output_node_ids": ["9"],
        },
    )
    return services.create_ability(
        None,
        ability_id="comfyui_invert",
        provider="comfyui",
        category="image_generation",
        capability_key="invert",
        display_name="ComfyUI · 反色",
        ability_type="comfyui",
        status="active",
        workflow_id=workflow.pk,
        input_schema={"fields": [{"name": "image_url", "type": "image", "label": "图片 Image", "required": True}]},
        metadata={
            "action": "invert",
            "outputs": {"images": 1},
            "pricing": {"currency": "CNY", "unit": "per_image", "list_price": 0.5, "discount_price": 0.3},
        },
    )
