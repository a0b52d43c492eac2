"""JianYing drafts from the call to the archive: through their own door, as a task, and as any ability."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from abilities import runner, services
from abilities.models import Ability, Task, TaskAsset
from abilities.runner import fetching
from media.models import Asset
from tests.abilities.conftest import Api, png_base64
from tests.executors.providers.pictures import png
from tests.flows.driver import settle, work_off
from tests.simulators.files import File, FileServer
from tests.simulators.films import mp4, wav

pytestmark = pytest.mark.django_db(transaction=True)
S = 1_000_000


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        running.files["/film.mp4"] = File(body=mp4(10))
        running.files["/a.png"] = File(body=png((64, 36)))
        running.files["/talk.wav"] = File(body=wav(5))
        yield running


@pytest.fixture(autouse=True)
def ability(db: None) -> Ability:
    [entry] = [e for e in services.read_catalog() if e["id"] == "jianying_draft_generate"]
    services.load_catalog([entry])
    return Ability.objects.get()


def document(server: FileServer, name: str = "my film") -> dict[str, Any]:
    def segment(kind: str, path: str, start: int, end: int) -> dict[str, Any]:
        times = {"start": start * S, "end": end * S}
        return {"type": kind, "time_range": times, "material_url": server.url(path)}

    return {
        "project": {"name": name},
        "tracks": [
            {
                "track_type": "video",
                "segments": [
                    segment("video", "/film.mp4", 0, 4),
                    segment("image", "/a.png", 4, 6),
                    segment("video", "/film.mp4", 6, 8),
                ],
            },
            {"track_type": "audio", "segments": [segment("audio", "/talk.wav", 0, 5)]},
        ],
    }


def open_archive(url: str) -> zipfile.ZipFile:
    response = Client().get("/" + url.split("/", 3)[3])
    assert response["Content-Type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))  # type: ignore[arg-type]


def generate(api: Api, content: Any, **more: Any) -> Any:
    return api.post("/api/draft/generate", {"content": content, **more})


def test_a_draft_is_accepted_fetched_made_and_downloaded(api: Api, server: FileServer, polling: runner.Polling) -> None:
    response = generate(api, json.dumps(document(server)), timeUnit="us")
    assert response.status_code == 201, response.content
    accepted = response.json()
    assert (accepted["status"], accepted["draft_count"]) == ("success", 1)
    [entry] = accepted["drafts"]
    assert entry == {"draft_id": entry["draft_id"], "project_name": "my film", "folder_path": "", "status": "pending"}
    assert accepted["timestamp"].endswith("Z")
    assert server.journal == [], "the request itself fetches nothing"
    path = f"/api/draft/status/{entry['draft_id']}"
    waiting = api.get(path).json()
    assert (waiting["status"], waiting["downloadUrl"], waiting["materials"]) == (
        "pending",
        "",
        {"total": 3, "fetched": 0},
    )
    assert waiting["durationUs"] == 8 * S

    task = settle(entry["draft_id"], polling=polling)
    assert task.state == "succeeded", task.error_message
    assert len(server.journal) == 3, "the film is used twice and fetched once"
    done = api.get(path).json()
    assert (done["status"], done["error_message"], done["warnings"]) == ("completed", "", [])
    assert done["materials"] == {"total": 3, "fetched": 3}
    assert None not in done.values()
    archive = open_archive(done["downloadUrl"])
    assert archive.testzip() is None
    content = json.loads(archive.read(f"{done['folder_path']}/draft_content.json"))
    assert content["duration"] == 8 * S
    assert len([name for name in archive.namelist() if "/materials/" in name]) == 3
    kept = TaskAsset.objects.filter(task=task, asset_type="input")
    assert {row.field for row in kept} == {
        "tracks[0].segments[0].material_url",
        "tracks[0].segments[1].material_url",
        "tracks[1].segments[0].material_url",
    }
    listed = api.get("/api/draft/list?skip=0&limit=10").json()
    assert listed["total"] == 1
    assert listed["drafts"][0]["draft_id"] == entry["draft_id"]
    assert listed["drafts"][0]["project_name"] == "my film"
    assert listed["drafts"][0]["folder_path"] == done["folder_path"]
    assert set(listed["drafts"][0]) == {"draft_id", "project_name", "created_at", "folder_path", "downloadUrl"}


def test_it_is_a_task_like_any_other(api: Api, server: FileServer, polling: runner.Polling) -> None:
    created = api.post(
        "/api/ability-tasks", {"abilityId": "jianying_draft_generate", "inputs": {"content": document(server)}}
    ).json()
    settle(created["id"], polling=polling)
    task = api.get(f"/api/ability-tasks/{created['id']}").json()
    [asset] = task["resultPayload"]["assets"]
    assert (asset["type"], asset["contentType"], asset["tag"]) == ("file", "application/zip", "jianying-draft")
    assert json.loads(task["resultPayload"]["texts"][0])["segments"] == 4
    assert api.get(f"/api/draft/status/{task['taskId']}").json()["status"] == "completed"


def test_invoke_with_the_form_hands_over_to_the_worker(api: Api, server: FileServer, polling: runner.Polling) -> None:
    picture = f"data:image/png;base64,{png_base64(64, 36)}"
    inputs = {"images": [picture, picture], "seconds_per_image": 2, "title": "Hi", "audio_url": server.url("/talk.wav")}
    answer = api.post("/api/abilities/jianying_draft_generate/invoke", {"inputs": inputs, "wait": 0}).json()
    assert answer["status"] == "queued"
    task = settle(answer["links"]["self"].rsplit("/", 1)[1], polling=polling)
    assert task.state == "succeeded", task.error_message
    draft = api.get(f"/api/draft/status/{task.pk}").json()
    content = json.loads(open_archive(draft["downloadUrl"]).read(f"{draft['folder_path']}/draft_content.json"))
    assert content["duration"] == 4 * S
    assert [t["type"] for t in content["tracks"]] == ["video", "audio", "text"]


def test_a_batch_has_an_id_and_an_archive_for_each(api: Api, server: FileServer, polling: runner.Polling) -> None:
    drafts = [document(server, "one"), document(server, "two")]
    accepted = generate(api, {"format_version": "1.0", "export_type": "batch_draft", "drafts": drafts}).json()
    first, second = (entry["draft_id"] for entry in accepted["drafts"])
    assert second == f"{first}-2"
    settle(first, polling=polling)
    assert [api.get(f"/api/draft/status/{i}").json()["project_name"] for i in (first, second)] == ["one", "two"]
    listed = api.get("/api/draft/list").json()
    assert (listed["total"], [d["draft_id"] for d in listed["drafts"]]) == (2, [first, second])
    assert api.get("/api/draft/list?skip=1&limit=1").json()["drafts"][0]["draft_id"] == second
    assert api.get(f"/api/draft/status/{first}-3").status_code == 404


@pytest.mark.parametrize(
    ("body", "detail", "field"),
    [
        ({}, "INVALID_INPUT", "content"),
        ({"content": ""}, "INVALID_INPUT", "content"),
        ({"content": "{"}, "INVALID_INPUT", "content"),
        ({"content": 3}, "INVALID_INPUT", "content"),
        ({"content": '{"tracks": [{"track_type": "none"}]}'}, "INVALID_INPUT", "tracks[0].track_type"),
        ({"content": "$D", "output_folder": "C:/drafts"}, "INVALID_INPUT", "output_folder"),
        ({"content": "$D", "timeUnit": "s"}, "INVALID_INPUT", "timeUnit"),
        ({"content": "$10.0.0.7"}, "URL_FORBIDDEN", "tracks[0].segments[0].material_url"),
        ({"content": "$nowhere"}, "FILE_URL_INVALID", "tracks[0].segments[0].material_url"),
    ],
)
def test_a_wrong_call_is_400_and_nothing_happens(
    api: Api, server: FileServer, body: dict[str, Any], detail: str, field: str
) -> None:
    addresses = {"$D": None, "$10.0.0.7": "http://10.0.0.7/film.mp4", "$nowhere": "film.mp4"}
    if body.get("content") in addresses:
        found = document(server)
        if url := addresses[body["content"]]:
            found["tracks"][0]["segments"][0]["material_url"] = url
        body = {**body, "content": found}
    response = api.post("/api/draft/generate", body)
    assert (response.status_code, response.json()["detail"]) == (400, detail), response.content
    assert field in response.json()["fields"]
    assert not Task.objects.exists()
    assert not Asset.objects.exists()
    assert server.journal == []


def test_elsewhere_the_same_mistake_is_422(api: Api) -> None:
    inputs = {"content": '{"tracks": [{"track_type": "none"}]}'}
    response = api.post("/api/ability-tasks", {"abilityId": "jianying_draft_generate", "inputs": inputs})
    assert (response.status_code, response.json()["detail"]) == (422, "INVALID_INPUT")
    assert list(response.json()["fields"]) == ["tracks[0].track_type"]


def test_only_ones_own_drafts_are_seen(api: Api, staff_api: Api, server: FileServer, polling: runner.Polling) -> None:
    draft_id = generate(staff_api, document(server)).json()["drafts"][0]["draft_id"]
    settle(draft_id, polling=polling)
    refused = api.get(f"/api/draft/status/{draft_id}")
    assert (refused.status_code, refused.json()["detail"]) == (404, "DRAFT_NOT_FOUND")
    assert api.get("/api/draft/status/none").status_code == 404
    assert api.get("/api/draft/list").json() == {"total": 0, "drafts": []}
    assert staff_api.get("/api/draft/list").json()["total"] == 1


def test_another_ability_is_no_draft(api: Api, upscale: Ability) -> None:
    answer = api.post(f"/api/abilities/{upscale.id}/invoke", {"imageBase64": png_base64()}).json()
    assert api.get(f"/api/draft/status/{answer['taskId']}").json()["detail"] == "DRAFT_NOT_FOUND"


def test_without_a_token_nothing_is_said() -> None:
    for method, path in (("post", "generate"), ("get", "status/x"), ("get", "list")):
        assert getattr(Client(), method)(f"/api/draft/{path}").status_code == 401


def test_one_idempotency_key_makes_one_draft(api: Api, server: FileServer) -> None:
    body = {"content": document(server)}
    first = api.post("/api/draft/generate", body, **{"idempotency-key": "d-1"}).json()
    again = api.post("/api/draft/generate", body, **{"idempotency-key": "d-1"}).json()
    assert first["drafts"][0]["draft_id"] == again["drafts"][0]["draft_id"]
    assert Task.objects.count() == 1


def test_a_file_that_cannot_be_had_fails_the_draft_and_names_its_place(
    api: Api, server: FileServer, polling: runner.Polling
) -> None:
    server.files["/a.png"] = File(body=b"<html>gone</html>")
    draft_id = generate(api, document(server)).json()["drafts"][0]["draft_id"]
    settle(draft_id, polling=polling)
    status = api.get(f"/api/draft/status/{draft_id}").json()
    assert (status["status"], status["error"]["code"]) == ("failed", "FILE_TYPE_UNSUPPORTED")
    assert status["error_message"].startswith("tracks[0].segments[1].material_url: ")
    assert status["downloadUrl"] == ""
    assert status["materials"] == {"total": 3, "fetched": 1}
    assert not TaskAsset.objects.filter(asset_type="output").exists()
    assert api.get("/api/draft/list").json()["total"] == 0


def test_a_film_too_short_fails_the_draft_and_names_its_place(
    api: Api, server: FileServer, polling: runner.Polling
) -> None:
    server.files["/film.mp4"] = File(body=mp4(1))
    draft_id = generate(api, document(server)).json()["drafts"][0]["draft_id"]
    settle(draft_id, polling=polling)
    status = api.get(f"/api/draft/status/{draft_id}").json()
    assert status["error"]["code"] == "INVALID_INPUT"
    assert "tracks[0].segments[0].time_range" in status["error_message"]


def test_all_files_of_a_task_together_have_a_limit(
    api: Api, server: FileServer, settings: Settings, polling: runner.Polling
) -> None:
    settings.FETCH_MAX_TASK_BYTES = len(server.files["/film.mp4"].body) + 10
    draft_id = generate(api, document(server)).json()["drafts"][0]["draft_id"]
    settle(draft_id, polling=polling)
    assert api.get(f"/api/draft/status/{draft_id}").json()["error"]["code"] == "FILE_TOO_LARGE"
    assert TaskAsset.objects.filter(asset_type="input").count() == 1


def test_R1_an_attempt_that_breaks_off_fetches_nothing_twice(
    api: Api, server: FileServer, polling: runner.Polling
) -> None:
    good = server.files.pop("/talk.wav")
    draft_id = generate(api, document(server)).json()["drafts"][0]["draft_id"]
    work_off()
    task = Task.objects.get(pk=draft_id)
    assert (task.state, task.attempt) == ("queued", 1), task.error_message
    server.files["/talk.wav"] = good
    task = settle(draft_id, polling=polling)
    assert (task.state, task.attempt) == ("succeeded", 2)
    asked = [request.path for request in server.journal]
    assert sorted(asked) == ["/a.png", "/film.mp4", "/talk.wav", "/talk.wav"]


def test_a_retry_takes_the_files_that_are_here(api: Api, server: FileServer, polling: runner.Polling) -> None:
    good = server.files["/talk.wav"]
    server.files["/talk.wav"] = File(body=b"no sound")
    draft_id = generate(api, document(server)).json()["drafts"][0]["draft_id"]
    assert settle(draft_id, polling=polling).state == "failed"
    server.files["/talk.wav"] = good
    server.journal.clear()
    again = api.post(f"/api/ability-tasks/{draft_id}/retry").json()["id"]
    assert settle(again, polling=polling).state == "succeeded"
    assert [request.path for request in server.journal] == ["/talk.wav"]


def test_a_cancel_between_two_files_stops_the_rest(api: Api, server: FileServer) -> None:
    draft_id = generate(api, document(server)).json()["drafts"][0]["draft_id"]
    task = Task.objects.get(pk=draft_id)
    task.state, task.attempt = "running", 1
    Task.objects.filter(pk=draft_id).update(state="running", attempt=1)
    services.cancel_task(task.owner, task)  # type: ignore[arg-type]
    assert fetching.fetch_named(task, None) is False  # type: ignore[arg-type]  # nothing of it is looked at
    assert server.journal == []
    status = api.get(f"/api/draft/status/{draft_id}").json()
    assert (status["status"], status["error"]["code"]) == ("failed", "CANCELLED")


def test_a_dry_run_checks_the_document_and_fetches_nothing(api: Api, server: FileServer) -> None:
    path = "/api/abilities/jianying_draft_generate/invoke?dryRun=true"
    assert api.post(path, {"inputs": {"content": document(server)}}).json()["status"] == "valid"
    assert api.post(path, {"inputs": {"content": "{}"}}).status_code == 422
    assert server.journal == []
    assert not Task.objects.exists()
