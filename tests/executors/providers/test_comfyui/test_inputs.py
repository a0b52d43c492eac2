"""What goes into a prompt: pictures, values, seeds, and nothing else of the caller's."""

from __future__ import annotations

import io
import uuid
from dataclasses import replace

import pytest
from PIL import Image

from executors.providers.base import (
    Phase,
    Unsupported,
)
from executors.providers.comfyui import ComfyUIProvider
from tests.executors.providers.pictures import input_file, png
from tests.executors.providers.test_comfyui.orders import (
    IMAGE_LINE,
    SCALE,
    coloured,
    order,
    picture_of,
    posted,
    refused,
    run,
)
from tests.simulators.comfyui import ComfyUISimulator


def test_a_picture_is_scaled_on_the_node_and_fetched(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    size_line = {"field": "width", "node_id": "2", "input_key": "width", "value_type": "int", "multiple_of": 8}
    wanted = order(SCALE, lines=(IMAGE_LINE, size_line), params={"width": "71px"}, files=(input_file(png()),))
    report = run(node, provider, wanted)
    assert picture_of(provider, report).size == (64, 32)
    assert report.usage is not None
    assert report.usage.seconds is not None
    assert report.metadata["duration_s"] >= 0


def test_R14_two_pictures_of_one_name_are_never_swapped(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = {**SCALE, "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}
    sizes = [(4, 3), (7, 5)]
    orders = [order(graph, lines=(IMAGE_LINE,), files=(input_file(png(size), "same.png"),)) for size in sizes]
    node.worker.holds_jobs = True
    refs = [provider.submit(wanted).ref for wanted in orders]
    node.worker.holds_jobs = False
    for ref, size in zip(refs, sizes, strict=True):
        node.wait_until(ref)
        assert picture_of(provider, provider.poll([ref])[ref]).size == size
    names = [posted(node, index)["prompt"]["1"]["inputs"]["image"] for index in range(2)]
    assert names == [f"podi/podi-{wanted.files[0].sha256}.png" for wanted in orders]


def test_R14_the_answered_name_counts_and_nothing_is_overwritten(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    picture = input_file(png())
    in_the_way = node.folder / "input" / "podi" / f"podi-{picture.sha256}.png"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"half of an earlier upload")
    report = run(node, provider, order(SCALE, lines=(IMAGE_LINE,), files=(picture,)))
    assert report.phase is Phase.SUCCEEDED
    assert posted(node)["prompt"]["1"]["inputs"]["image"] == f"podi/podi-{picture.sha256} (1).png"
    assert in_the_way.read_bytes() == b"half of an earlier upload"


def test_an_upload_is_named_by_its_content_not_by_its_file_name(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(buffer, "JPEG")
    picture = input_file(buffer.getvalue(), name="../../花.png", content_type="image/png")
    run(node, provider, order(SCALE, lines=(IMAGE_LINE,), files=(picture,)))
    assert posted(node)["prompt"]["1"]["inputs"]["image"] == f"podi/podi-{picture.sha256}.jpg"
    assert [path.name for path in (node.folder / "input").iterdir()] == ["podi"]


def test_a_picture_used_twice_is_uploaded_once(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    graph = {**SCALE, "5": {"class_type": "LoadImage", "inputs": {"image": "stored.png"}}}
    lines = (IMAGE_LINE, {**IMAGE_LINE, "node_id": "5"})
    run(node, provider, order(graph, lines=lines, files=(input_file(png()),)))
    assert len(node.requests_to("POST", "/upload/image")) == 1
    assert len({posted(node)["prompt"][key]["inputs"]["image"] for key in "15"}) == 1


def test_a_missing_picture_is_refused_before_anything_is_sent(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    error = refused(provider, order(SCALE, lines=(IMAGE_LINE,)))
    assert error.code == "COMFYUI_IMAGE_REQUIRED"
    assert "image_url" in error.fields
    assert node.journal == []


def test_R13_a_wrong_value_is_refused_before_anything_is_sent(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    line = {"field": "width", "node_id": "2", "input_key": "width", "value_type": "int"}
    error = refused(provider, order(SCALE, lines=(line, IMAGE_LINE), params={"width": "a red cup"}))
    assert error.fields
    assert node.journal == []


def test_an_optional_picture_may_be_missing(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    (node.folder / "input" / "stored.png").write_bytes(png())
    report = run(node, provider, order(SCALE, lines=({**IMAGE_LINE, "optional": True},)))
    assert report.phase is Phase.SUCCEEDED
    assert node.requests_to("POST", "/upload/image") == []


def test_R14_seed_zero_stays_zero_and_an_absent_one_is_random(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    graph = coloured(
        **{
            "2": {
                "class_type": "RigSleep",
                "inputs": {
                    "image": ["1", 0],
                    "seconds": 0.0,
                    "steps": 1,
                    "report": False,
                    "preview": "none",
                    "seed": 5,
                },
            }
        }
    )
    assert provider.submit(order(graph, params={"seed": 0})).metadata["seed"] == 0
    assert posted(node)["prompt"]["2"]["inputs"]["seed"] == 0
    drawn = [provider.submit(order(graph)).metadata["seed"] for _ in range(2)]
    assert len({*drawn, 5}) == 3
    assert all(0 <= seed < 2**48 for seed in drawn)
    assert posted(node)["prompt"]["2"]["inputs"]["seed"] == drawn[1]


def test_nothing_of_the_caller_reaches_the_servers_own_switches(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    hostile = {"client_id": {"a": 1}, "extra_data": "x", "prompt_id": "1", "number": -5, "front": True}
    provider.submit(order(coloured(), params=hostile))
    body = posted(node)
    assert set(body) == {"prompt", "prompt_id", "client_id", "extra_data"}
    assert body["client_id"] == "podi-node-a"
    assert body["extra_data"] == {"podi": {"output_node_ids": ["9"]}}


def test_an_order_without_a_uuid_of_ours_is_a_bug(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    for ref in ("", "t-1", str(uuid.uuid4()).upper(), uuid.uuid4().hex):
        with pytest.raises(Unsupported):
            provider.submit(replace(order(coloured()), ref=ref))
    assert node.journal == []


def test_an_order_without_a_workflow_is_refused(node: ComfyUISimulator, provider: ComfyUIProvider) -> None:
    error = refused(provider, replace(order(coloured()), workflow=None))
    assert error.code == "COMFYUI_WORKFLOW_EMPTY"
    assert node.journal == []


def test_an_editors_export_is_converted_with_the_nodes_own_definitions(
    node: ComfyUISimulator, provider: ComfyUIProvider
) -> None:
    export = {
        "nodes": [
            {"id": 1, "type": "EmptyImage", "widgets_values": [24, 16, 1, 255], "outputs": [{"type": "IMAGE"}]},
            {
                "id": 9,
                "type": "SaveImage",
                "widgets_values": ["shown"],
                "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            },
        ],
        "links": [[1, 1, 0, 9, 0, "IMAGE"]],
    }
    for _ in range(2):
        report = run(node, provider, order(export))
        assert picture_of(provider, report).size == (24, 16)
    assert len(node.requests_to("GET", "/object_info/EmptyImage")) == 1
