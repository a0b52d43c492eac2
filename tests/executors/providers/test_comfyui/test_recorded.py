"""The adapter's readers on answers of real servers of both versions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from executors.providers.base import Phase
from executors.providers.comfyui.inventory import models_in, read_choices
from executors.providers.comfyui.outputs import read_entry
from executors.providers.comfyui.progress import read_progress
from executors.providers.comfyui.refusals import clean_text, dropped_outputs, read_refusal
from executors.providers.transport import Answer
from tests.simulators.comfyui import VERSIONS

RECORDINGS = Path(__file__).parents[3] / "recordings" / "comfyui"


def recording(version: str, name: str) -> dict[str, Any]:
    return json.loads((RECORDINGS / version / f"{name}.json").read_text())


def entry(version: str, case: str) -> tuple[str, dict[str, Any]]:
    return next(iter(recording(version, "history")[case]["response"]["body"].items()))


def answer_of(exchange: dict[str, Any]) -> Answer:
    response = exchange["response"]
    body = response["body"]
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(status=response["status"], headers={}, body=text.encode())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("case", "phase", "code", "count"),
    [
        ("success", Phase.SUCCEEDED, "", 1),
        ("success_identical_resubmission_after_output_file_was_deleted", Phase.SUCCEEDED, "", 1),
        ("batch_of_3", Phase.SUCCEEDED, "", 3),
        ("prefix_with_subfolder", Phase.SUCCEEDED, "", 1),
        ("prefix_climbing_out", Phase.FAILED, "COMFYUI_ERROR", 0),
        ("preview_only", Phase.FAILED, "COMFYUI_IMAGES_EMPTY", 0),
        ("text_only_output", Phase.SUCCEEDED, "", 1),
        ("two_outputs", Phase.SUCCEEDED, "", 2),
        ("runtime_error", Phase.FAILED, "COMFYUI_ERROR", 0),
        ("out_of_memory", Phase.FAILED, "COMFYUI_ERROR", 0),
        ("corrupt_upload", Phase.FAILED, "COMFYUI_ERROR", 0),
        ("fake_checkpoint", Phase.FAILED, "COMFYUI_ERROR", 0),
        ("interrupted", Phase.CANCELLED, "", 0),
        ("next_run_after_interrupt", Phase.SUCCEEDED, "", 1),
    ],
)
def test_R9_every_recorded_end_has_one_meaning(version: str, case: str, phase: Phase, code: str, count: int) -> None:
    ref, recorded = entry(version, case)
    report = read_entry(ref, recorded)
    if version == "0.25.0" and case.startswith("success_identical"):
        # Sent without a client id, the newer version lists nothing of what its cache held: a failure, never a success.
        phase, code, count = Phase.FAILED, "COMFYUI_IMAGES_EMPTY", 0
    assert (report.phase, report.code, len(report.outputs)) == (phase, code, count)
    assert report.ref == ref
    assert report.metadata["number"] == recorded["prompt"][0]
    assert report.metadata["duration_s"] >= 0
    json.dumps(report.raw)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", ["prefix_climbing_out", "fake_checkpoint", "corrupt_upload", "out_of_memory"])
def test_no_message_shows_a_folder_of_the_node_and_no_raw_the_inputs(version: str, case: str) -> None:
    ref, recorded = entry(version, case)
    with_paths = re.sub(r"<NODE\d_BASE>", "/srv/comfyui", json.dumps(recorded))
    report = read_entry(ref, json.loads(with_paths))
    assert report.message
    assert "/srv" not in report.message
    assert "current_inputs" not in json.dumps(report.raw)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("open /home/x/models/loras/a b.safetensors", "open a b.safetensors"),
        ("[Errno 21] Is a directory: '/srv/comfy/input/'", "[Errno 21] Is a directory: 'input'"),
        ("at C:\\ComfyUI\\models\\vae\\ae.safetensors now", "at ae.safetensors now"),
        ("\\\\server\\share\\x.png", "x.png"),
        ("a/b ratio 3/4, see https://example.com/help", "a/b ratio 3/4, see https://example.com/help"),
        ("two\nlines\t here", "two lines here"),
    ],
)
def test_paths_are_cut_to_their_last_part_and_nothing_else(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_long_messages_are_cut() -> None:
    assert len(clean_text("x" * 5000)) == 500


REFUSALS = {
    "no_prompt_key": ("COMFYUI_SUBMIT_ERROR", "No prompt provided", {}),
    "empty_prompt": ("COMFYUI_SUBMIT_ERROR", "Prompt has no outputs", {}),
    "prompt_null": ("COMFYUI_SUBMIT_ERROR", "malformed", {}),
    "ui_format_workflow": ("COMFYUI_SUBMIT_ERROR", "malformed", {}),
    "body_over_100MiB": ("COMFYUI_SUBMIT_ERROR", "100 MiB", {}),
    "unknown_node_type": ("COMFYUI_SUBMIT_ERROR", "LoadImagesFromURL", {"nodes": ["LoadImagesFromURL"]}),
    "unknown_node_type_unconnected": ("COMFYUI_SUBMIT_ERROR", "cleanGpuUsed", {"nodes": ["easy cleanGpuUsed"]}),
    "required_input_missing": ("COMFYUI_SUBMIT_NODE_ERROR:[1]", "EmptyImage (node 1): Required input is missing", {}),
    "required_inputs_missing_in_two_nodes": ("COMFYUI_SUBMIT_NODE_ERROR:[1,9]", "SaveImage (node 9)", {}),
    "checkpoint_not_in_list": (
        "COMFYUI_SUBMIT_NODE_ERROR:[1]",
        "ckpt_name 'not_here.safetensors' is not on this node",
        {"ckpt_name": ["not_here.safetensors"]},
    ),
    "lora_and_sampler_not_in_list_two_outputs": (
        "COMFYUI_SUBMIT_NODE_ERROR:[4,6]",
        "lora_name 'missing_lora.safetensors' is not on this node",
        {"lora_name": ["missing_lora.safetensors"], "sampler_name": ["nosuchsampler"]},
    ),
    "value_too_small": ("COMFYUI_SUBMIT_NODE_ERROR:[1]", "Value 0 smaller than min of 1 - width", {}),
    "invalid_image_file": ("COMFYUI_SUBMIT_NODE_ERROR:[1]", "Invalid image file: never_uploaded.png", {}),
    "body_nan": ("COMFYUI_SUBMIT_NODE_ERROR:[1]", "cannot convert float NaN to integer", {}),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", REFUSALS)
def test_every_recorded_refusal_is_told_in_words(version: str, case: str) -> None:
    code, words, missing = REFUSALS[case]
    error = read_refusal(answer_of(recording(version, "prompt_errors")[case]))
    assert error.code == code
    assert words in error.message
    if missing or isinstance(error.raw, dict):
        assert error.raw["missing"] == missing


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bare_nan_in_a_refusal_can_be_read(version: str) -> None:
    text = '{"error": {"type": "x", "message": "m", "details": "d"}, "node_errors": {"1": {"errors": [{"type": "t", '
    text += '"message": "bad", "details": "", "extra_info": {"received_value": NaN}}], "class_type": "A"}}}'
    assert "bad" in read_refusal(Answer(status=400, headers={}, body=text.encode())).message


@pytest.mark.parametrize("version", VERSIONS)
def test_dropped_outputs_are_read_from_an_accepted_prompt(version: str) -> None:
    recorded = recording(version, "prompt_success")["one_good_one_bad_output"]
    assert dropped_outputs(recorded["response"]["body"]["node_errors"]) == {"8"}


@pytest.mark.parametrize("version", VERSIONS)
def test_choices_are_read_in_both_notations(version: str) -> None:
    nodes = recording(version, "object_info")["nodes"]
    assert read_choices(nodes["LoraLoader"], "lora_name")[0] == "pattern/seamless_v2.safetensors"
    newer = {"input": {"required": {"model_name": ["COMBO", {"options": ["4x.pth"]}]}}}
    assert read_choices(newer, "model_name") == ("4x.pth",)
    assert read_choices(nodes["UpscaleModelLoader"], "model_name") == ()
    assert read_choices({}, "x") == ()
    assert models_in(nodes)["unet"] == ("flux_fake.safetensors", "qwen_image_fake.safetensors")


@pytest.mark.parametrize("version", VERSIONS)
def test_progress_is_read_from_recorded_frames(version: str) -> None:
    run = recording(version, "ws")["whole_run"]
    frames = [message["text"] for message in run["messages"] if "text" in message]
    found = [progress for frame in frames if (progress := read_progress(frame)) is not None]
    prompt_id = run["prompt_answer"]["prompt_id"]
    assert found == [(prompt_id, 0.25), (prompt_id, 0.5), (prompt_id, 0.75), (prompt_id, 1.0)]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_last_status_frame_comes_behind_the_end(version: str) -> None:
    """What the bell relies on: history is written before the frame that says that the queue is shorter."""
    kinds = [m["text"]["type"] for m in recording(version, "ws")["whole_run"]["messages"] if "text" in m]
    assert kinds[-3:] == ["execution_success", "status", "executing"]


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": "progress"},
        {"type": "progress", "data": {"value": 1, "max": 0, "prompt_id": "x"}},
        {"type": "progress", "data": {"value": "1", "max": 2, "prompt_id": "x"}},
        {"type": "progress", "data": {"value": 1, "max": 2}},
        {"type": "executing", "data": {"value": 1, "max": 2, "prompt_id": "x"}},
    ],
)
def test_other_frames_are_no_progress(frame: dict[str, Any]) -> None:
    assert read_progress(frame) is None
