"""The simulated ComfyUI against recordings of real servers: what they were sent is sent to it, answers are compared."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.executors.providers.pictures import png
from tests.simulators.comfyui import VERSIONS, ComfyUISimulator

RECORDINGS = Path(__file__).parents[2] / "recordings" / "comfyui"
Recorded = dict[str, Any]


def recording(version: str, name: str) -> Recorded:
    return json.loads((RECORDINGS / version / f"{name}.json").read_text())


def exchanges(version: str, name: str) -> dict[str, Recorded]:
    """The single request-and-answer entries of a recording."""
    return {
        key: entry for key, entry in recording(version, name).items() if isinstance(entry, dict) and "response" in entry
    }


@pytest.fixture(params=VERSIONS)
def node(request: pytest.FixtureRequest) -> Iterator[ComfyUISimulator]:
    with ComfyUISimulator(version=request.param) as node:
        (node.folder / "comfy.db").write_bytes(b"not a picture")
        for name in ("input/pod_in.png", "input/花纹 图.png", "input/podi/job-1/a.png", "output/o.png", "temp/t.png"):
            (node.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (node.folder / name).write_bytes(png())
        (node.folder / "input" / "notes.txt").write_text("hello, not an image")
        (node.folder / "input" / "corrupt.png").write_bytes(b"\x89PNG broken..")
        yield node


def send(node: ComfyUISimulator, sent: Recorded) -> requests.Response:
    content: dict[str, Any] = {}
    if "raw_body" in sent:
        content["data"] = sent["raw_body"].encode()
    elif "json" in sent:
        content["json"] = sent["json"]
    return requests.request(sent["method"], node.url + sent["path"], headers=sent.get("headers"), timeout=10, **content)


def body_of(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text or None


def facts_of_refusal(body: Any) -> Any:
    """A refusal without what differs between machines: choice lists, tracebacks, the order of independent errors."""
    if not isinstance(body, dict):
        return body
    errors = {
        (node_id, error["type"], error["message"], error["details"], tuple(sorted(error["extra_info"])))
        for node_id, entry in body["node_errors"].items()
        for error in entry["errors"]
    }
    places = {
        node_id: (entry["class_type"], sorted(entry["dependent_outputs"]))
        for node_id, entry in body["node_errors"].items()
    }
    return body["error"], errors, places


@pytest.mark.parametrize("case", [case for case in exchanges("0.25.0", "prompt_errors") if case != "body_over_100MiB"])
def test_refuses_as_the_real_server_does(node: ComfyUISimulator, case: str) -> None:
    recorded = exchanges(node.version, "prompt_errors")[case]
    answer = send(node, recorded["request"])
    assert answer.status_code == recorded["response"]["status"]
    assert answer.headers["Content-Type"] == recorded["response"]["headers"]["Content-Type"]
    if answer.status_code == 200:
        assert sorted(answer.json()) == sorted(recorded["response"]["body"])
    else:
        assert facts_of_refusal(body_of(answer)) == facts_of_refusal(recorded["response"]["body"])
        assert not node.worker.history


def test_refuses_bodies_over_100_mebibytes(node: ComfyUISimulator) -> None:
    answer = requests.post(f"{node.url}/prompt", data=b"x" * (101 * 1024 * 1024), timeout=30)
    recorded = exchanges(node.version, "prompt_errors")["body_over_100MiB"]["response"]
    assert (answer.status_code, answer.text[:44]) == (recorded["status"], recorded["body"][:44])


@pytest.mark.parametrize("case", exchanges("0.25.0", "prompt_success"))
def test_accepts_as_the_real_server_does(node: ComfyUISimulator, case: str) -> None:
    recorded = exchanges(node.version, "prompt_success")[case]
    answer = send(node, recorded["request"])
    assert answer.status_code == recorded["response"]["status"]
    if answer.status_code != 200:
        assert facts_of_refusal(answer.json()) == facts_of_refusal(recorded["response"]["body"])
        return
    body, wanted = answer.json(), recorded["response"]["body"]
    assert facts_of_refusal({"error": None, **body}) == facts_of_refusal({"error": None, **wanted})
    assert type(body["number"]) is type(wanted["number"])
    if "prompt_id" in recorded["request"]["json"] and recorded["request"]["json"]["prompt_id"] is not None:
        assert body["prompt_id"] == wanted["prompt_id"]
    assert body["prompt_id"] in (recorded["request"]["json"].get("prompt_id"), "None", "12345", body["prompt_id"])


def test_a_bad_choice_of_the_newer_notation_passes_only_in_the_older_version(node: ComfyUISimulator) -> None:
    recorded = exchanges(node.version, "prompt_success")["bad_choice_in_COMBO_notation"]
    answer = send(node, recorded["request"])
    assert answer.status_code == (200 if node.version == "0.3.64" else 400)
    if answer.status_code == 200:
        entry = node.wait_until(answer.json()["prompt_id"])
        message = entry["status"]["messages"][-1]
        assert message[0] == "execution_error"
        ended = recording(node.version, "prompt_success")["then_history_of"]["bad_choice_in_COMBO_notation"]
        assert message[1]["exception_message"] == ended["error"]


ENDS = [
    "success",
    "batch_of_3",
    "prefix_with_subfolder",
    "prefix_with_tokens",
    "prefix_chinese",
    "prefix_climbing_out",
    "preview_only",
    "text_only_output",
    "two_outputs",
    "real_workflow",
    "runtime_error",
    "out_of_memory",
    "corrupt_upload",
]


@pytest.mark.parametrize("case", ENDS)
def test_history_ends_as_recorded(node: ComfyUISimulator, case: str) -> None:
    recorded = next(iter(exchanges(node.version, "history")[case]["response"]["body"].values()))
    extra = {key: value for key, value in recorded["prompt"][3].items() if key not in ("client_id", "create_time")}
    body = {"prompt": recorded["prompt"][2], "extra_data": extra}
    if "client_id" in recorded["prompt"][3]:
        body["client_id"] = recorded["prompt"][3]["client_id"]
    prompt_id = requests.post(f"{node.url}/prompt", json=body, timeout=5).json()["prompt_id"]
    node.wait_until(prompt_id)
    entry = requests.get(f"{node.url}/history/{prompt_id}", timeout=5).json()[prompt_id]
    assert set(entry) == set(recorded)
    assert set(entry["prompt"][3]) == set(recorded["prompt"][3])
    assert sorted(entry["prompt"][4]) == sorted(recorded["prompt"][4])
    assert without_numbers(entry["outputs"]) == without_numbers(recorded["outputs"])
    assert set(entry["meta"]) == set(recorded["meta"])
    assert entry["status"]["status_str"] == recorded["status"]["status_str"]
    ours, theirs = entry["status"]["messages"], recorded["status"]["messages"]
    assert [(kind, sorted(data)) for kind, data in ours] == [(kind, sorted(data)) for kind, data in theirs]
    if "exception_type" in theirs[-1][1] and case not in ("prefix_climbing_out", "corrupt_upload"):
        assert ours[-1][1]["exception_type"] == theirs[-1][1]["exception_type"]


def without_numbers(outputs: Any) -> Any:
    text = re.sub(r"temp_[a-z]{5}_", "temp_", json.dumps(outputs, sort_keys=True))
    return json.loads(re.sub(r"\d{5}_\.png|\d{4}-\d{1,2}-\d{1,2}", "#", text))


@pytest.mark.parametrize("scene", ["same_graph", "alternating"])
def test_serves_from_the_cache_as_recorded(node: ComfyUISimulator, scene: str) -> None:
    for step in recording(node.version, "cached_outputs")[scene]:
        graph = prompt(2 if step["step"].startswith("B") else 1)
        body = {"prompt": graph}
        if step["client_id_sent"] != "<none>":
            body["client_id"] = step["client_id_sent"]
        answer = requests.post(f"{node.url}/prompt", json=body, timeout=5).json()
        entry = node.wait_until(answer["prompt_id"])
        cached = dict(entry["status"]["messages"])["execution_cached"]["nodes"]
        assert sorted(cached) == sorted(step["execution_cached_nodes"]), step["step"]
        assert sorted(entry["outputs"]) == sorted(step["outputs"]), step["step"]


def test_the_newer_version_lists_only_what_it_ran_when_no_client_asked(node: ComfyUISimulator) -> None:
    graph = prompt(1)
    graph["8"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "other"}}
    node.wait_until(requests.post(f"{node.url}/prompt", json={"prompt": graph}, timeout=5).json()["prompt_id"])
    graph["8"]["inputs"]["filename_prefix"] = "changed"
    answer = requests.post(f"{node.url}/prompt", json={"prompt": graph}, timeout=5).json()
    listed = sorted(node.wait_until(answer["prompt_id"])["outputs"])
    assert listed == (["8", "9"] if node.version == "0.3.64" else ["8"])
    second = recording(node.version, "cached_outputs")["partly_cached"][1]
    assert len(second["outputs"]) == len(listed)


def test_the_queue_runs_by_number_and_lists_in_heap_order(node: ComfyUISimulator) -> None:
    node.worker.is_paralysed = True
    time.sleep(0.15)
    numbers = [9, 5, 8, 1, 7, 2, 3]
    ids = {number: f"00000000-0000-4000-8000-00000000000{number}" for number in numbers}
    for number in numbers:
        post(node, prompt_id=ids[number], number=number)
    listed = [item[0] for item in requests.get(f"{node.url}/queue", timeout=5).json()["queue_pending"]]
    assert sorted(listed) == sorted(numbers)
    assert listed != sorted(listed)
    assert requests.get(f"{node.url}/prompt", timeout=5).json() == {"exec_info": {"queue_remaining": 7}}
    node.worker.is_paralysed = False
    node.wait_until(ids[9])
    assert node.worker.executed_ids == [ids[number] for number in sorted(numbers)]


def test_equal_numbers_run_by_id_and_front_ones_in_reverse(node: ComfyUISimulator) -> None:
    node.worker.is_paralysed = True
    time.sleep(0.15)
    ids = [f"00000000-0000-4000-8000-00000000000{letter}" for letter in "cab"]
    for prompt_id in ids:
        post(node, prompt_id=prompt_id, number=5)
    front = [post(node, front=True)["prompt_id"] for _ in range(3)]
    node.worker.is_paralysed = False
    for prompt_id in [*ids, *front]:
        node.wait_until(prompt_id)
    assert node.worker.executed_ids[-3:] == sorted(ids)
    assert node.worker.executed_ids[:2] == [front[2], front[1]]


def test_the_same_id_twice_runs_twice(node: ComfyUISimulator) -> None:
    node.worker.is_paralysed = True
    time.sleep(0.15)
    prompt_id = "00000000-0000-4000-8000-000000000001"
    post(node, prompt_id=prompt_id)
    post(node, prompt_id=prompt_id)
    requests.post(f"{node.url}/queue", json={"delete": [prompt_id]}, timeout=5)
    assert len(requests.get(f"{node.url}/queue", timeout=5).json()["queue_pending"]) == 1
    post(node, prompt_id=prompt_id)
    node.worker.is_paralysed = False
    node.wait_until(prompt_id)
    deadline = time.monotonic() + 5
    while node.worker.remaining() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert node.worker.executed_ids == [prompt_id, prompt_id]


def test_the_same_id_and_number_twice_is_500_yet_queued_and_stops_the_worker(node: ComfyUISimulator) -> None:
    node.worker.holds_jobs = True
    first = post(node)["prompt_id"]
    node.wait_for_start(first)
    same = "00000000-0000-4000-8000-000000000009"
    graph_a, graph_b = prompt(1), prompt(2)
    assert requests.post(f"{node.url}/prompt", json=body_for(graph_a, prompt_id=same, number=4), timeout=5).ok
    second = requests.post(f"{node.url}/prompt", json=body_for(graph_b, prompt_id=same, number=4), timeout=5)
    assert second.status_code == 500
    innocent = post(node)["prompt_id"]
    assert len(requests.get(f"{node.url}/queue", timeout=5).json()["queue_pending"]) == 3
    node.worker.holds_jobs = False
    node.wait_until(first)
    time.sleep(0.3)
    queue = requests.get(f"{node.url}/queue", timeout=5)
    assert queue.status_code == 200
    assert queue.json()["queue_running"] == []
    assert queue.json()["queue_pending"]
    assert innocent not in node.worker.history


@pytest.mark.parametrize("client_id", [{"a": 1}, ["x"]])
def test_a_client_id_that_is_no_text_ends_the_process(node: ComfyUISimulator, client_id: Any) -> None:
    assert requests.post(f"{node.url}/prompt", json=body_for(prompt(), client_id=client_id), timeout=5).ok
    assert node.worker.crashed.wait(5)
    time.sleep(0.2)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{node.url}/queue", timeout=5)


def test_queue_commands_answer_alike_whatever_they_did(node: ComfyUISimulator) -> None:
    for body in ({"delete": ["no-such"]}, {}, {"clear": True}, {"delete": "text"}):
        answer = requests.post(f"{node.url}/queue", json=body, timeout=5)
        assert (answer.status_code, answer.content) == (200, b"")
    assert requests.post(f"{node.url}/queue", data=b"", timeout=5).status_code == 500
    assert requests.post(f"{node.url}/history", data=b"", timeout=5).status_code == 500
    assert requests.post(f"{node.url}/interrupt", data=b"", timeout=5).status_code == 200


def test_an_interrupt_ends_the_running_prompt_as_an_error_without_exception(node: ComfyUISimulator) -> None:
    node.worker.holds_jobs = True
    running, waiting = post(node)["prompt_id"], post(node)["prompt_id"]
    node.wait_for_start(running)
    requests.post(f"{node.url}/interrupt", json={"prompt_id": waiting}, timeout=5)
    requests.post(f"{node.url}/interrupt", json={"prompt_id": running}, timeout=5)
    entry = node.wait_until(running)
    recorded = next(iter(exchanges(node.version, "history")["interrupted"]["response"]["body"].values()))
    assert entry["status"]["status_str"] == recorded["status"]["status_str"] == "error"
    kind, data = entry["status"]["messages"][-1]
    assert kind == recorded["status"]["messages"][-1][0] == "execution_interrupted"
    assert sorted(data) == sorted(recorded["status"]["messages"][-1][1])
    node.worker.holds_jobs = False
    assert node.wait_until(waiting)["status"]["status_str"] == "success"


def test_history_is_listed_and_deleted_as_recorded(node: ComfyUISimulator) -> None:
    ids = [post(node)["prompt_id"] for _ in range(6)]
    for prompt_id in ids:
        node.wait_until(prompt_id)
    for query, wanted in {
        "": ids,
        "max_items=2": ids[4:],
        "max_items=2&offset=0": ids[:2],
        "max_items=2&offset=3": ids[3:5],
        "offset=5": ids[5:],
        "max_items=0": [],
        "offset=1000": [],
        "max_items=-1": [],
    }.items():
        assert list(requests.get(f"{node.url}/history?{query}", timeout=5).json()) == wanted, query
    assert requests.get(f"{node.url}/history?max_items=abc", timeout=5).status_code == 500
    requests.post(f"{node.url}/history", json={"delete": [ids[0], "no-such-id"]}, timeout=5)
    unknown = requests.get(f"{node.url}/history/{ids[0]}", timeout=5)
    assert (unknown.status_code, unknown.json()) == (200, {})


UPLOADS = {
    "first": b"A",
    "same_name_same_bytes": b"A",
    "same_name_other_bytes": b"B",
    "same_name_other_bytes_again": b"B",
    "overwrite_true": b"C",
    "overwrite_1": b"D",
    "overwrite_True_capital": b"E",
    "subfolder": b"A",
    "type_temp": b"A",
    "type_output": b"A",
    "type_unknown": b"A",
    "traversal_in_subfolder": b"A",
    "absolute_subfolder": b"A",
    "no_file_field": b"A",
    "wrong_field_name": b"A",
    "image_field_without_filename": b"A",
    "not_an_image": b"A",
    "zero_bytes": b"",
    "api_prefix": b"A",
}


def test_uploads_are_named_as_recorded(node: ComfyUISimulator) -> None:
    for name in ("pod_in.png", "podi/job-1/a.png", "notes.txt"):
        (node.folder / "input" / name).unlink()
    for name in ("output/o.png", "temp/t.png"):
        (node.folder / name).unlink()
    recorded = exchanges(node.version, "upload")
    for case, content in UPLOADS.items():
        parts = [
            (part["name"], (part["filename"], content, part["ct"]) if "filename" in part else (None, part["value"]))
            for part in recorded[case]["request"]["multipart"]
        ]
        answer = requests.post(node.url + recorded[case]["request"]["path"], files=parts, timeout=5)
        assert answer.status_code == recorded[case]["response"]["status"], case
        assert body_of(answer) == recorded[case]["response"]["body"], case


VIEWS = [
    "output",
    "temp",
    "type_missing_means_output",
    "empty_subfolder_wrong",
    "subfolder_in_filename",
    "chinese_name",
    "not_found",
    "no_filename",
    "empty_filename",
    "type_unknown",
    "traversal_filename",
    "traversal_subfolder",
    "absolute_subfolder",
    "annotated_name",
    "range_request",
    "head",
    "non_image_file",
    "preview_webp",
]


@pytest.mark.parametrize("case", VIEWS)
def test_files_are_served_as_recorded(node: ComfyUISimulator, case: str) -> None:
    recorded = exchanges(node.version, "view")[case]
    path = recorded["request"]["path"]
    temp_name = re.search(r"ComfyUI_temp_\w+_\.png", path)
    number = re.search(r"_(\d{5})_", path)
    picture = f"_{number[1]}_.png" if number else "_00002_.png"
    for name in (f"output/podi/view/v{picture}", f"output/花 纹{picture}", f"temp/{temp_name and temp_name[0]}"):
        (node.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (node.folder / name).write_bytes(png(size=(9, 9)))
    (node.folder / "output" / f"v{picture}").write_bytes(png(size=(2, 2)))
    answer = requests.request(
        recorded["request"]["method"], node.url + path, headers=recorded["request"].get("headers"), timeout=5
    )
    assert answer.status_code == recorded["response"]["status"]
    if answer.ok:
        kept = {"content-type", "etag", "accept-ranges", "last-modified", "content-disposition"}
        assert kept & {name.lower() for name in answer.headers} == kept & {
            name.lower() for name in recorded["response"]["headers"]
        }
        assert answer.headers["Content-Type"] == recorded["response"]["headers"]["Content-Type"]
    if case in ("empty_subfolder_wrong", "subfolder_in_filename"):
        assert answer.content == png(size=(2, 2))


def test_an_unchanged_file_is_not_sent_again(node: ComfyUISimulator) -> None:
    url = f"{node.url}/view?filename=o.png&type=output"
    etag = requests.get(url, timeout=5).headers["ETag"]
    assert requests.get(url, headers={"If-None-Match": etag}, timeout=5).status_code == 304


def test_the_other_pages_answer_as_recorded(node: ComfyUISimulator) -> None:
    recorded = recording(node.version, "system")
    singles = [recorded[key] for key in ("system_stats", "features", "get_prompt", "queue_idle", "history_empty")]
    more = [recorded[key] for key in ("history_unknown_id", "unknown_path", "trailing_slash", "options", "root")]
    wholes = [*singles, *more, *recorded["wrong_method"], *recorded["free"], recorded["origin_check"][0]]
    for entry in [*wholes, *recorded["origin_check"][2:]]:
        answer = send(node, entry["request"])
        assert answer.status_code == entry["response"]["status"], entry["request"]
        if isinstance(entry["response"]["body"], dict):
            assert set(answer.json()) == set(entry["response"]["body"])
    for entry in recorded["api_prefix"]:
        if "plain" in entry:
            assert requests.get(f"{node.url}/api{entry['path']}", timeout=5).status_code == entry["with_api"]


def test_models_are_listed_as_recorded(node: ComfyUISimulator) -> None:
    recorded = recording(node.version, "models")
    for key in ("models", "models_checkpoints", "models_loras", "models_vae", "models_clip", "models_unet"):
        answer = send(node, recorded[key]["request"])
        assert answer.status_code == recorded[key]["response"]["status"]
        assert body_of(answer) == recorded[key]["response"]["body"]
    node.add_model("LoraLoader", "lora_name", "late_arrival.safetensors")
    assert "late_arrival.safetensors" in requests.get(f"{node.url}/models/loras", timeout=5).json()


def test_a_restart_forgets_all_but_the_files(node: ComfyUISimulator) -> None:
    ended = post(node)["prompt_id"]
    node.wait_until(ended)
    node.worker.holds_jobs = True
    post(node)
    node.kill()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{node.url}/queue", timeout=5)
    node.boot()
    queue = requests.get(f"{node.url}/queue", timeout=5).json()
    assert queue == {"queue_running": [], "queue_pending": []}
    assert requests.get(f"{node.url}/history/{ended}", timeout=5).json() == {}
    assert requests.get(f"{node.url}/view?filename=o.png&type=output", timeout=5).ok
    assert requests.get(f"{node.url}/view?filename=t.png&type=temp", timeout=5).status_code == 404
    assert post(node)["number"] == 0


def test_another_process_reads_the_journal_and_sets_faults(node: ComfyUISimulator) -> None:
    fault = {"route": "GET /queue", "kind": "status", "status": 502, "times": 1}
    assert requests.post(f"{node.url}/_sim/fault", json=fault, timeout=5).ok
    assert requests.get(f"{node.url}/queue", timeout=5).status_code == 502
    assert requests.get(f"{node.url}/queue", timeout=5).status_code == 200
    journal = requests.get(f"{node.url}/_sim/journal", timeout=5).json()
    assert [(entry["method"], entry["path"], entry["status"]) for entry in journal] == [
        ("GET", "/queue", 502),
        ("GET", "/queue", 200),
    ]
    requests.post(f"{node.url}/_sim/settings", json={"durations": [0.2]}, timeout=5)
    started = time.monotonic()
    node.wait_until(post(node)["prompt_id"])
    assert time.monotonic() - started > 0.2


def prompt(seed: int = 0) -> Recorded:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": seed}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "t"}},
    }


def body_for(graph: Recorded, **more: Any) -> Recorded:
    return {"prompt": graph, "client_id": "tester", **more}


def post(node: ComfyUISimulator, **more: Any) -> Recorded:
    answer = requests.post(f"{node.url}/prompt", json=body_for(prompt(), **more), timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()
