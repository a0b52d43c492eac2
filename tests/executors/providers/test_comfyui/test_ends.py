"""How a run ended and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import requests

from executors.providers.base import (
    Phase,
    ProviderRejected,
    ProviderUnreachable,
)
from executors.providers.comfyui import ComfyUIProvider
from tests.executors.providers.pictures import png
from tests.executors.providers.test_comfyui.orders import (
    coloured,
    order,
    picture_of,
    run,
)
from tests.simulators.comfyui import ComfyUISimulator


def test_only_the_wanted_outputs_come_back_without_previews(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = coloured(
        **{
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "8": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "other"}},
            "7": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
            "6": {"class_type": "RigText", "inputs": {"text": "一只杯子"}},
        }
    )
    named = run(node, provider, order(graph, outputs=("9",)))
    assert [output.metadata["node_id"] for output in named.outputs] == ["9"]
    unnamed = run(node, provider, order(graph, outputs=()))
    assert [(output.metadata["node_id"], output.kind) for output in unnamed.outputs] == [
        ("6", "text"),
        ("8", "image"),
        ("9", "image"),
    ]
    assert unnamed.outputs[0].text == "一只杯子"
    both = run(node, provider, order(graph, outputs=("8", "9")))
    assert [output.metadata["node_id"] for output in both.outputs] == ["8", "9"]


def test_a_batch_comes_back_whole(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = coloured()
    graph["1"]["inputs"]["batch_size"] = 3
    assert len({output.name for output in run(node, provider, order(graph)).outputs}) == 3


def test_R9_a_success_without_a_result_is_a_failure(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = coloured(**{"9": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}})
    report = run(node, provider, order(graph, outputs=()))
    assert (report.phase, report.code) == (Phase.FAILED, "COMFYUI_IMAGES_EMPTY")
    elsewhere = run(node, provider, order(coloured(), outputs=("77",)))
    assert (elsewhere.phase, elsewhere.code) == (Phase.FAILED, "COMFYUI_IMAGES_EMPTY")


def failing(kind: str, message: str) -> dict[str, Any]:
    graph = coloured(
        **{"2": {"class_type": "RigFail", "inputs": {"image": ["1", 0], "kind": kind, "message": message, "seed": 1}}}
    )
    graph["9"]["inputs"]["images"] = ["2", 0]
    return graph


def test_R9_an_execution_error_is_a_failure_without_the_nodes_paths(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    message = "cannot open /home/artist/ComfyUI/models/loras/x.safetensors or C:\\Users\\artist\\secret\\y.bin"
    report = run(node, provider, order(failing("value", message)))
    assert (report.phase, report.code) == (Phase.FAILED, "COMFYUI_ERROR")
    assert report.message == "RigFail (node 2) failed with ValueError: cannot open x.safetensors or y.bin"
    assert not report.outputs


def test_R9_out_of_memory_is_a_failure_and_told_apart(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    report = run(node, provider, order(failing("oom", "Tried to allocate 20.00 GiB")))
    assert (report.phase, report.code) == (Phase.FAILED, "COMFYUI_ERROR")
    assert report.metadata["out_of_memory"] is True
    assert "Tried to allocate 20.00 GiB" in report.message
    assert "TIPS" not in report.message


def test_outputs_made_before_a_failure_do_not_count(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = failing("value", "late")
    graph["8"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "early"}}
    report = run(node, provider, order(graph, outputs=("8", "9")))
    assert report.phase is Phase.FAILED
    assert not report.outputs


def test_an_interrupt_at_the_node_is_a_cancel(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    node.worker.holds_jobs = True
    ref = provider.submit(order(coloured())).ref
    node.wait_for_start(ref)
    requests.post(f"{node.url}/interrupt", json={}, timeout=5)
    node.wait_until(ref)
    assert provider.poll([ref])[ref].phase is Phase.CANCELLED


def test_the_same_work_again_gives_a_file_of_its_own(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    """A node would answer from its cache with the first run's file, even after that is gone."""
    first, second = (run(node, provider, order(coloured())) for _ in range(2))
    assert first.outputs[0].locator != second.outputs[0].locator
    assert picture_of(provider, first).tobytes() == picture_of(provider, second).tobytes()


def test_a_result_that_is_gone_from_the_node_is_said_so(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    report = run(node, provider, order(coloured()))
    locator = report.outputs[0].locator or {}
    assert locator["subfolder"]
    (node.folder / "output" / locator["subfolder"] / locator["filename"]).unlink()
    with pytest.raises(ProviderRejected) as caught:
        list(provider.open_output(report.outputs[0]))
    assert caught.value.code == "COMFYUI_ASSETS_EMPTY"


def test_a_namesake_in_the_top_folder_is_never_served(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    report = run(node, provider, order(coloured()))
    locator = report.outputs[0].locator or {}
    (node.folder / "output" / locator["filename"]).write_bytes(png(size=(2, 2)))
    assert picture_of(provider, report).size == (8, 8)
    assert set(node.requests_to("GET", "/view")[-1]["query"]) == {"filename", "subfolder", "type"}


def test_a_half_sent_result_is_an_error_not_a_picture(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    report = run(node, provider, order(coloured()))
    node.add_fault("GET /view", "cut_answer")
    with pytest.raises(ProviderUnreachable):
        list(provider.open_output(report.outputs[0]))


def test_an_empty_subfolder_is_sent_too(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    (node.folder / "output" / "o.png").write_bytes(png())
    report = run(node, provider, order(coloured()))
    output = replace(report.outputs[0], locator={"filename": "o.png", "subfolder": "", "type": "output"})
    assert b"".join(provider.open_output(output)) == png()
    assert node.requests_to("GET", "/view")[-1]["query"]["subfolder"] == ""
