"""From a stored workflow and a caller's inputs to the graph that is sent."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from executors.providers.base import ProviderRejected
from executors.providers.comfyui.graph import (
    apply_params,
    apply_seed,
    copy_graph,
    name_outputs,
    node_classes,
    put_image,
    read_rules,
    recognise,
)

GRAPH: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "stored.png"}},
    "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": 512, "height": 512}},
    "3": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 20, "model": ["5", 0]}},
    "4": {"class_type": "SamplerCustom", "inputs": {"noise_seed": 8}},
    "5": {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "a.safetensors", "strength_model": 1.0}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "stored words"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "stored"}},
}


def apply(line: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    graph = copy_graph(GRAPH)
    apply_params(graph, read_rules([line]), params)
    return graph


def width_line(**more: Any) -> dict[str, Any]:
    return {"field": "width", "node_id": "2", "input_key": "width", "value_type": "int", **more}


@pytest.mark.parametrize(
    "definition",
    [GRAPH, {"workflow_key": "k", "graph": GRAPH}, {"prompt": GRAPH}, {"workflow": {"graph": GRAPH}}],
    ids=["bare", "keyed", "as posted", "nested"],
)
def test_recognises_a_prompt_graph_in_every_wrapping(definition: dict[str, Any]) -> None:
    kind, nodes = recognise(definition)
    assert (kind, dict(nodes)) == ("prompt", GRAPH)


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: {"graph": e}], ids=["bare", "keyed"])
def test_recognises_an_editor_export(wrap: Any) -> None:
    export = {"last_node_id": 9, "nodes": [], "links": [], "version": 0.4}
    assert recognise(wrap(export)) == ("editor", export)


@pytest.mark.parametrize("definition", [{}, {"workflow_key": "k"}, {"graph": {}}, {"graph": {"1": {"inputs": {}}}}])
def test_refuses_a_definition_without_a_graph(definition: dict[str, Any]) -> None:
    with pytest.raises(ProviderRejected) as caught:
        recognise(definition)
    assert caught.value.code == "COMFYUI_WORKFLOW_EMPTY"


def test_the_stored_graph_is_never_changed() -> None:
    before = copy.deepcopy(GRAPH)
    graph = apply(width_line(), {"width": 64})
    name_outputs(graph, "other")
    apply_seed(graph, {"seed": 1}, random_seed=2, mapped=set())
    assert before == GRAPH


@pytest.mark.parametrize(
    ("value_type", "given", "wanted"),
    [
        ("int", "1024", 1024),
        ("int", " 200px ", 200),
        ("int", 12.9, 12),
        ("int", "12.9", 12),
        ("int", 2**63 + 1, 2**63 + 1),
        ("int", str(2**63 + 1), 2**63 + 1),
        ("integer", 0, 0),
        ("float", "1.5", 1.5),
        ("number", 3, 3),
        ("number", "2.5px", 2.5),
        ("bool", "yes", True),
        ("boolean", 0, False),
        ("bool", False, False),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", {"a": 1}, {"a": 1}),
        ("text", "", ""),
        ("text", 5, "5"),
        ("string", "红色", "红色"),
    ],
)
def test_converts_to_the_type_the_map_names(value_type: str, given: Any, wanted: Any) -> None:
    graph = apply(width_line(value_type=value_type), {"width": given})
    found = graph["2"]["inputs"]["width"]
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("value_type", "given"),
    [
        ("int", "wide"),
        ("int", True),
        ("int", [1]),
        ("float", "nan"),
        ("float", "inf"),
        ("bool", "perhaps"),
        ("json", "{nope"),
        ("text", {"a": 1}),
        ("surprise", 1),
    ],
)
def test_refuses_what_does_not_fit_by_name(value_type: str, given: Any) -> None:
    with pytest.raises(ProviderRejected) as caught:
        apply(width_line(value_type=value_type), {"width": given})
    assert "width" in caught.value.message


def test_sizes_are_floored_to_the_multiple_of_the_map() -> None:
    assert apply(width_line(multiple_of=8), {"width": "1023px"})["2"]["inputs"]["width"] == 1016
    assert apply(width_line(multiple_of=8), {"width": 3})["2"]["inputs"]["width"] == 8
    assert apply(width_line(), {"width": 1023})["2"]["inputs"]["width"] == 1023


@pytest.mark.parametrize("params", [{}, {"width": None}, {"width": ""}])
def test_an_absent_value_leaves_the_stored_one(params: dict[str, Any]) -> None:
    assert apply(width_line(), params)["2"]["inputs"]["width"] == 512


def test_an_empty_text_is_a_value() -> None:
    line = {"field": "prompt", "node_id": "6", "input_key": "text", "value_type": "text"}
    assert apply(line, {"prompt": ""})["6"]["inputs"]["text"] == ""


def test_R21_aliases_count_only_where_the_map_lists_them_and_the_first_wins() -> None:
    line = width_line(field="lora", node_id="5", input_key="lora_name", value_type="text", aliases=["loraName"])
    assert apply(line, {"loraName": "b"})["5"]["inputs"]["lora_name"] == "b"
    assert apply(line, {"loraName": "b", "lora": "c"})["5"]["inputs"]["lora_name"] == "c"
    assert apply(line, {"lora_file": "d"})["5"]["inputs"]["lora_name"] == "a.safetensors"


@pytest.mark.parametrize(
    "line",
    [
        {"name": "width", "nodeId": 2, "inputKey": "width", "valueType": "int"},
        {"param": "width", "node_id": "2", "input": "width", "type": "INT"},
    ],
)
def test_reads_every_spelling_of_a_line(line: dict[str, Any]) -> None:
    assert apply(line, {"width": "64"})["2"]["inputs"]["width"] == 64


def test_choices_translate_a_callers_word() -> None:
    line = width_line(value_type="text", choices={"seamless": True, "twoway": False})
    assert apply(line, {"width": "twoway"})["2"]["inputs"]["width"] is False
    with pytest.raises(ProviderRejected) as caught:
        apply(line, {"width": "other"})
    assert "seamless, twoway" in caught.value.message


def test_a_line_that_names_no_node_of_the_graph_is_refused() -> None:
    with pytest.raises(ProviderRejected, match="node 77"):
        apply(width_line(node_id="77"), {"width": 1})
    with pytest.raises(ProviderRejected):
        read_rules([{"field": "width"}])


def test_a_caller_never_chooses_a_loaders_path() -> None:
    line = {"field": "image", "node_id": "1", "input_key": "image", "value_type": "text"}
    with pytest.raises(ProviderRejected):
        apply(line, {"image": "../../secret.png"})


def test_a_callers_list_is_a_value_and_never_a_link() -> None:
    graph = apply(width_line(value_type="json"), {"width": '["5", 0]'})
    assert graph["2"]["inputs"]["width"] == {"__value__": ["5", 0]}


def test_an_uploaded_picture_goes_into_the_loader() -> None:
    line = {"field": "image_url", "node_id": "1", "input_key": "image", "value_type": "image"}
    graph = apply(line, {"image_url": "https://example.com/ignored.png"})
    assert graph["1"]["inputs"]["image"] == "stored.png"
    put_image(graph, read_rules([line])[0], "podi/podi-abc.png")
    assert graph["1"]["inputs"]["image"] == "podi/podi-abc.png"


def test_a_loader_by_url_becomes_a_core_loader() -> None:
    graph = copy_graph({"7": {"class_type": "LoadImagesFromURL", "inputs": {"url": "https://example.com/a.png"}}})
    rule = read_rules([{"field": "image_url", "node_id": "7", "input_key": "url", "value_type": "image"}])[0]
    put_image(graph, rule, "podi/x.png")
    assert graph == {"7": {"class_type": "LoadImage", "inputs": {"image": "podi/x.png"}}}


def seeds(graph: dict[str, Any]) -> list[int]:
    return [graph["3"]["inputs"]["seed"], graph["4"]["inputs"]["noise_seed"]]


@pytest.mark.parametrize("name", ["seed", "random_seed", "randomSeed", "sampler_seed", "samplerSeed"])
def test_a_given_seed_goes_to_every_sampler(name: str) -> None:
    graph = copy_graph(GRAPH)
    assert apply_seed(graph, {name: "42"}, random_seed=1, mapped=set()) == 42
    assert seeds(graph) == [42, 42]


def test_R14_seed_zero_is_a_seed() -> None:
    graph = copy_graph(GRAPH)
    assert apply_seed(graph, {"seed": 0}, random_seed=99, mapped=set()) == 0
    assert seeds(graph) == [0, 0]


@pytest.mark.parametrize("params", [{}, {"seed": None}, {"seed": ""}])
def test_an_absent_seed_is_random_for_every_sampler(params: dict[str, Any]) -> None:
    graph = copy_graph(GRAPH)
    assert apply_seed(graph, params, random_seed=99, mapped=set()) == 99
    assert seeds(graph) == [99, 99]


def test_a_seed_set_by_the_map_or_kept_on_purpose_is_left_alone() -> None:
    graph = copy_graph(GRAPH)
    apply_seed(graph, {}, random_seed=99, mapped={("3", "seed")})
    assert seeds(graph) == [7, 99]
    kept = copy_graph(GRAPH)
    assert apply_seed(kept, {}, random_seed=99, mapped=set(), keep_stored=True) is None
    assert seeds(kept) == [7, 8]
    assert apply_seed(kept, {"seed": 5}, random_seed=99, mapped=set(), keep_stored=True) == 5


def test_a_seed_that_comes_over_a_link_stays_linked() -> None:
    graph = copy_graph({"3": {"class_type": "KSampler", "inputs": {"seed": ["8", 0]}}})
    assert apply_seed(graph, {"seed": 5}, random_seed=1, mapped=set()) is None
    assert graph["3"]["inputs"]["seed"] == ["8", 0]


def test_every_saved_file_gets_a_name_of_its_job() -> None:
    graph = copy_graph(GRAPH)
    name_outputs(graph, "podi/2026-01-02/ref")
    assert graph["9"]["inputs"]["filename_prefix"] == "podi/2026-01-02/ref-9"
    assert node_classes(graph)[:2] == ("LoadImage", "ImageScale")
