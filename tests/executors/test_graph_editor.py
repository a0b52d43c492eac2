"""An editor's export becomes a graph that a node takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executors.providers.base import ProviderRejected
from executors.providers.comfyui.editor import convert_export, exported_classes

RECORDINGS = Path(__file__).parent.parent / "recordings" / "comfyui"
DEFINITIONS: dict[str, Any] = json.loads((RECORDINGS / "0.25.0" / "object_info.json").read_text())["nodes"]


def node(id: int, type: str, values: Any = (), *, inputs: Any = (), outputs: Any = (), mode: int = 0) -> dict[str, Any]:
    values = list(values) if isinstance(values, tuple) else values
    return {
        "id": id,
        "type": type,
        "mode": mode,
        "widgets_values": values,
        "inputs": [{"name": name, "type": kind, "link": link} for name, kind, link in inputs],
        "outputs": [{"name": kind, "type": kind} for kind in outputs],
    }


def export(nodes: list[dict[str, Any]], links: list[Any]) -> dict[str, Any]:
    return {"last_node_id": 99, "nodes": nodes, "links": links, "version": 0.4}


LOAD = node(1, "LoadImage", ("in.png", "image"), outputs=("IMAGE", "MASK"))


def save(link: int = 9, id: int = 9) -> dict[str, Any]:
    return node(id, "SaveImage", ("shown",), inputs=[("images", "IMAGE", link)])


def scale(link: int, *, mode: int = 0) -> dict[str, Any]:
    values = ("lanczos", 640, 480, "disabled")
    return node(2, "ImageScale", values, inputs=[("image", "IMAGE", link)], outputs=("IMAGE",), mode=mode)


def convert(nodes: list[dict[str, Any]], links: list[Any]) -> dict[str, Any]:
    graph = convert_export(export(nodes, links), DEFINITIONS)
    return {key: value["inputs"] for key, value in graph.items()}


def test_links_and_widgets_in_their_order() -> None:
    graph = convert_export(
        export([LOAD, scale(5), save()], [[5, 1, 0, 2, 0, "IMAGE"], [9, 2, 0, 9, 0, "IMAGE"]]), DEFINITIONS
    )
    assert graph == {
        "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}, "_meta": {"title": "LoadImage"}},
        "2": {
            "class_type": "ImageScale",
            "inputs": {
                "image": ["1", 0],
                "upscale_method": "lanczos",
                "width": 640,
                "height": 480,
                "crop": "disabled",
            },
            "_meta": {"title": "ImageScale"},
        },
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "shown"},
            "_meta": {"title": "SaveImage"},
        },
    }


def test_the_value_behind_a_seed_that_says_what_happens_next_is_no_input() -> None:
    sampler = node(3, "KSampler", (123, "randomize", 20, 8.0, "euler", "simple", 1.0))
    assert convert([sampler], [])["3"] == {
        "seed": 123,
        "steps": 20,
        "cfg": 8.0,
        "sampler_name": "euler",
        "scheduler": "simple",
        "denoise": 1.0,
    }


def test_an_export_without_that_value_is_read_too() -> None:
    sampler = node(3, "KSampler", (123, 20, 8.0, "euler", "simple", 1.0))
    assert convert([sampler], [])["3"]["steps"] == 20


def test_a_last_seed_takes_its_control_value_with_it() -> None:
    sleeper = node(4, "RigSleep", (2.0, 4, True, "none", 5, "fixed"))
    assert convert([sleeper], [])["4"] == {"seconds": 2.0, "steps": 4, "report": True, "preview": "none", "seed": 5}


def test_a_widget_turned_into_an_input_keeps_its_place_and_gives_way_to_the_link() -> None:
    sampler = node(3, "KSampler", (123, "fixed", 20, 8.0, "euler", "simple", 1.0), inputs=[("steps", "INT", 7)])
    primitive = node(8, "PrimitiveNode", (35, "fixed"), outputs=("INT",))
    inputs = convert([sampler, primitive], [[7, 8, 0, 3, 0, "INT"]])
    assert inputs["3"]["steps"] == 35
    assert inputs["3"]["cfg"] == 8.0
    assert "8" not in inputs


def test_values_given_by_name_are_read_by_name() -> None:
    inputs = convert([node(2, "ImageScale", {"width": 64, "height": 32, "videopreview": {}, "crop": "center"})], [])
    assert inputs["2"] == {"width": 64, "height": 32, "crop": "center"}


def test_reroutes_are_followed_and_left_out() -> None:
    reroute = node(5, "Reroute", inputs=[("", "*", 6)], outputs=("*",))
    inputs = convert([LOAD, reroute, save()], [[6, 1, 0, 5, 0, "IMAGE"], [9, 5, 0, 9, 0, "IMAGE"]])
    assert inputs == {"1": {"image": "in.png"}, "9": {"images": ["1", 0], "filename_prefix": "shown"}}


def test_a_bypassed_node_passes_its_input_of_the_same_type_on() -> None:
    inputs = convert([LOAD, scale(5, mode=4), save()], [[5, 1, 0, 2, 0, "IMAGE"], [9, 2, 0, 9, 0, "IMAGE"]])
    assert inputs["9"]["images"] == ["1", 0]
    assert "2" not in inputs


def test_a_muted_node_is_gone_with_the_links_to_it() -> None:
    inputs = convert([LOAD, scale(5, mode=2), save()], [[5, 1, 0, 2, 0, "IMAGE"], [9, 2, 0, 9, 0, "IMAGE"]])
    assert inputs["9"] == {"filename_prefix": "shown"}


def test_links_as_objects_of_the_newest_schema() -> None:
    links = [{"id": 9, "origin_id": 1, "origin_slot": 0, "target_id": 9, "target_slot": 0, "type": "IMAGE"}]
    assert convert([LOAD, save()], links)["9"]["images"] == ["1", 0]


def test_notes_are_left_out_and_circles_of_reroutes_end() -> None:
    circle = node(5, "Reroute", inputs=[("", "*", 6)], outputs=("*",))
    inputs = convert([node(7, "Note", ("text",)), circle, save()], [[6, 5, 0, 5, 0, "*"], [9, 5, 0, 9, 0, "*"]])
    assert inputs == {"9": {"filename_prefix": "shown"}}


def test_missing_widget_values_fall_back_to_the_definitions_default() -> None:
    assert convert([node(6, "EmptyImage", (256,))], [])["6"] == {
        "width": 256,
        "height": 512,
        "batch_size": 1,
        "color": 0,
    }


@pytest.mark.parametrize(
    "broken",
    [
        {**export([save()], []), "definitions": {"subgraphs": [{"id": "x"}]}},
        export([node(1, "0b5d6f0a-51f4-4f0e-8f43-6f7f5f8f2c11")], []),
    ],
    ids=["listed", "used"],
)
def test_subgraphs_are_refused_with_what_to_do(broken: dict[str, Any]) -> None:
    with pytest.raises(ProviderRejected, match="API format"):
        exported_classes(broken)


def test_R17_unknown_node_types_are_named_all_at_once() -> None:
    with pytest.raises(ProviderRejected) as caught:
        convert_export(export([node(1, "LoadImagesFromURL"), node(2, "easy ifElse"), save()], []), DEFINITIONS)
    assert caught.value.raw == {"missing": {"nodes": ["LoadImagesFromURL", "easy ifElse"]}}
