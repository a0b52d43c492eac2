"""What a node refuses, wholly or in part, and what silence means."""

from __future__ import annotations

import pytest

from executors.providers.base import (
    Phase,
    ProviderSilent,
    ProviderUnreachable,
)
from executors.providers.comfyui import ComfyUIProvider
from tests.executors.providers.pictures import input_file, png
from tests.executors.providers.test_comfyui.orders import (
    IMAGE_LINE,
    SCALE,
    coloured,
    endpoint_of,
    order,
    refused,
    run,
)
from tests.simulators.comfyui import ComfyUISimulator


def test_R12_a_missing_lora_is_named_and_never_replaced(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = coloured(
        **{
            "3": {
                "class_type": "UNETLoader",
                "inputs": {"unet_name": "flux_fake.safetensors", "weight_dtype": "default"},
            },
            "4": {
                "class_type": "LoraLoaderModelOnly",
                "inputs": {"model": ["3", 0], "lora_name": "cup.safetensors", "strength_model": 1.0},
            },
            "5": {"class_type": "CLIPLoader", "inputs": {"clip_name": "clip_l.safetensors", "type": "sd3"}},
            "6": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["5", 0], "text": "a cup"}},
            "7": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "8": {
                "class_type": "KSampler",
                "inputs": {
                    "model": ["4", 0],
                    "positive": ["6", 0],
                    "negative": ["6", 0],
                    "latent_image": ["7", 0],
                    "seed": 1,
                    "steps": 1,
                    "cfg": 1.0,
                    "sampler_name": "euler",
                    "scheduler": "simple",
                    "denoise": 1.0,
                },
            },
            "10": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}},
            "11": {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["10", 0]}},
        }
    )
    graph["9"]["inputs"]["images"] = ["11", 0]
    error = refused(provider, order(graph))
    assert error.code == "COMFYUI_SUBMIT_NODE_ERROR:[4]"
    assert "cup.safetensors" in error.message
    assert error.raw["missing"] == {"lora_name": ["cup.safetensors"]}
    assert error.was_taken is False
    assert not error.is_retryable
    assert len(node.requests_to("POST", "/prompt")) == 1
    node.add_model("LoraLoaderModelOnly", "lora_name", "cup.safetensors")
    assert run(node, provider, order(graph)).phase is Phase.SUCCEEDED


def test_R17_all_missing_node_types_are_named_at_once(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = coloured(
        **{
            "50": {"class_type": "easy cleanGpuUsed", "inputs": {}},
            "51": {"class_type": "LoadImagesFromURL", "inputs": {}, "_meta": {"title": "From URL"}},
        }
    )
    error = refused(provider, order(graph))
    assert error.code == "COMFYUI_SUBMIT_ERROR"
    assert error.raw["missing"] == {"nodes": ["easy cleanGpuUsed", "LoadImagesFromURL"]}
    assert "easy cleanGpuUsed, LoadImagesFromURL" in error.message


def test_a_prompt_that_the_node_cannot_read_is_refused_and_not_the_nodes_fault(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    node.add_fault(
        "POST /prompt",
        "status",
        status=500,
        body="500 Internal Server Error\n\nServer got itself in trouble",
        content_type="text/plain",
    )
    error = refused(provider, order(coloured()))
    assert error.code == "COMFYUI_SUBMIT_ERROR"
    assert error.was_taken is False


def test_too_large_a_picture_is_refused(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    too_large = "Maximum request body size 104857600 exceeded."
    node.add_fault("POST /upload/image", "status", status=413, body=too_large, content_type="text/plain")
    error = refused(provider, order(SCALE, lines=(IMAGE_LINE,), files=(input_file(png()),)))
    assert "100 MiB" in error.message
    assert node.requests_to("POST", "/prompt") == []


def test_no_comfyui_at_the_address_is_unreachable(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.add_fault("POST /prompt", "status", status=404)
    with pytest.raises(ProviderUnreachable):
        provider.submit(order(coloured()))


def test_R1_what_was_sent_without_an_answer_is_found_by_its_ref(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    wanted = order(coloured())
    node.add_fault("POST /prompt", "cut_after")
    with pytest.raises(ProviderSilent):
        provider.submit(wanted)
    node.wait_until(wanted.ref)
    assert ComfyUIProvider(endpoint_of(node)).poll([wanted.ref])[wanted.ref].phase is Phase.SUCCEEDED
    lost = order(coloured(1))
    node.add_fault("POST /prompt", "cut")
    with pytest.raises(ProviderSilent):
        provider.submit(lost)
    assert lost.ref not in provider.poll([lost.ref])
    assert node.worker.executed_ids == [wanted.ref]


BROKEN_BRANCH = {
    "2": {"class_type": "LoadImage", "inputs": {"image": "missing.png"}},
    "8": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "bad"}},
}


def test_a_dropped_output_beside_a_good_one_is_noted(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    accepted = provider.submit(order(coloured(**BROKEN_BRANCH), outputs=("9", "8")))
    assert accepted.phase is Phase.ACCEPTED
    assert accepted.metadata["dropped_outputs"] == ["8"]
    node.wait_until(accepted.ref)
    report = provider.poll([accepted.ref])[accepted.ref]
    assert report.phase is Phase.SUCCEEDED
    assert report.metadata["dropped_outputs"] == ["8"]


def test_when_all_wanted_outputs_are_dropped_the_job_fails_and_does_not_run(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    node.worker.holds_jobs = True
    blocking = provider.submit(order(coloured(7))).ref
    node.wait_for_start(blocking)
    report = provider.submit(order(coloured(**BROKEN_BRANCH), outputs=("8",)))
    assert report.phase is Phase.FAILED
    assert report.code == "COMFYUI_SUBMIT_NODE_ERROR:[2]"
    assert "missing.png" in report.message
    assert [item[1] for items in node.worker.snapshot() for item in items] == [blocking]
