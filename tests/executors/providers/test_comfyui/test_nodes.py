"""Health and inventory of a node, and the abilities that are shipped for it."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import pytest

from executors.providers.base import (
    Order,
    Phase,
    ProviderUnintelligible,
    ProviderUnreachable,
)
from executors.providers.comfyui import ComfyUIProvider
from executors.providers.comfyui.inventory import find_missing, requirements_of
from tests.executors.providers.pictures import input_file, png
from tests.executors.providers.test_comfyui.orders import (
    coloured,
    order,
    picture_of,
    run,
)
from tests.simulators.comfyui import ComfyUISimulator

SHIPPED = Path(__file__).parents[4]


def test_R16_a_node_whose_worker_has_died_is_not_up(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    assert provider.probe().is_up
    node.paralyse()
    time.sleep(0.15)
    provider.submit(order(coloured()))
    health = provider.probe()
    assert not health.is_up
    assert health.queue_pending == 1
    assert health.message


def test_probe_tells_version_queue_and_devices(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.worker.holds_jobs = True
    for number in range(3):
        provider.submit(order(coloured(number)))
    time.sleep(0.05)
    health = provider.probe()
    assert (health.is_up, health.queue_running, health.queue_pending) == (True, 1, 2)
    assert health.version == node.version
    assert health.inventory["devices"][0]["vram_total"] > 0
    assert "argv" not in json.dumps(health.inventory)
    assert {entry["path"] for entry in node.journal} == {"/prompt", "/system_stats", "/queue"}


def test_models_are_read_in_both_notations_without_the_whole_list(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    node.add_model("UpscaleModelLoader", "model_name", "4x.pth")
    found = provider.models()
    assert found.models["upscale"] == ("4x.pth",)
    assert found.models["lora"] == (
        "pattern/seamless_v2.safetensors",
        "print_style_v1.safetensors",
        "with space.safetensors",
        "中文风格.safetensors",
    )
    assert found.models["clip"] == ("clip_l.safetensors", "t5xxl_fp16.safetensors")
    assert found.node_keys is None
    assert node.requests_to("GET", "/object_info") == []
    assert "KSampler" in (provider.models(include_nodes=True).node_keys or ())


def test_a_look_at_the_queue_shows_nobodys_prompts(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.worker.holds_jobs = True
    refs = [provider.submit(order(coloured(number))).ref for number in range(2)]
    node.wait_for_start(refs[0])
    status = provider.queue_status()
    assert (status.running, status.pending) == (1, 1)
    assert status.raw == {"queue_running": [[0, refs[0]]], "queue_pending": [[1, refs[1]]]}


def test_a_server_without_a_queue_is_not_supported(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.add_fault("GET /queue", "status", status=404)
    assert provider.queue_status().is_supported is False


def test_inspection_errors_carry_their_own_codes(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.add_fault("GET /*", "garbage", times=None)
    for ask, code in (
        (provider.models, "COMFYUI_OBJECT_INFO_INVALID"),
        (provider.queue_status, "COMFYUI_QUEUE_STATUS_INVALID"),
        (provider.system_stats, "COMFYUI_SYSTEM_STATS_INVALID"),
    ):
        with pytest.raises(ProviderUnintelligible) as caught:
            ask()
        assert caught.value.code == code
    node.kill()
    with pytest.raises(ProviderUnreachable) as gone:
        provider.queue_status()
    assert gone.value.code == "COMFYUI_QUEUE_STATUS_ERROR"
    node.boot()
    node.faults.clear()
    status = provider.queue_status()
    assert (status.running, status.pending) == (0, 0)


def test_R17_a_graphs_needs_are_compared_with_what_a_node_has(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    graph = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux_fake.safetensors"}},
        "2": {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "pattern\\seamless_v2.safetensors"}},
        "3": {"class_type": "LoraLoader", "inputs": {"lora_name": "gone.safetensors"}},
        "4": {"class_type": "LoadImagesFromURL", "inputs": {"url": "x"}},
    }
    has = provider.inventory()
    missing = find_missing(requirements_of(graph), node_keys=has["nodes"], models=has["models"])
    assert missing == {"nodes": ["LoadImagesFromURL"], "lora": ["gone.safetensors"]}


@pytest.mark.parametrize("key", ["image_scale", "image_invert"])
def test_shipped_abilities_run_on_a_node_without_models(
    node: ComfyUISimulator, provider: ComfyUIProvider, key: str
) -> None:
    stored = json.loads((SHIPPED / "executors" / "catalog" / "workflows" / f"{key}.json").read_text())
    catalogue = json.loads((SHIPPED / "abilities" / "catalog" / "comfyui.json").read_text())
    ability = next(entry for entry in catalogue if entry["capability_key"] == key)
    names = {field["name"] for field in ability["input_schema"]["fields"]}
    assert names == {line["field"] for line in stored["metadata"]["input_node_map"]}
    assert ability["metadata"]["workflow_key"] == stored["metadata"]["workflow_key"]
    assert ability["metadata"]["output_node_ids"] == stored["metadata"]["output_node_ids"]
    wanted = Order(
        task_id="t",
        operation=key,
        params={**ability["default_params"], **({"width": 40, "height": 0} if key == "image_scale" else {})},
        files=(input_file(png(size=(8, 4))),),
        workflow={"definition": stored["definition"], **stored["metadata"]},
        ref=str(uuid.uuid4()),
    )
    report = run(node, provider, wanted)
    assert report.phase is Phase.SUCCEEDED
    assert len(report.outputs) == ability["metadata"]["outputs"]["images"]
    assert picture_of(provider, report).size == ((40, 20) if key == "image_scale" else (8, 4))
