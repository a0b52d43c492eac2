"""/health speaks of the process, /ready of every part PODI needs (R29)."""

import asyncio
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from podi import health
from podi.asgi import application
from podi.base import heartbeats
from podi.base.models import Heartbeat


def test_health_is_exactly_the_contracts_words(client: Client) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')


async def call(application: Any, path: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b"", "raw_path": b""}
    await application(scope, receive, send)
    return sent


async def test_R29_health_answers_while_every_thread_is_busy() -> None:
    loop = asyncio.get_running_loop()
    busy = [loop.run_in_executor(None, time.sleep, 0.6) for _ in range(80)]  # more than the pool has threads
    begun = time.monotonic()
    sent = await call(application, "/health")
    assert time.monotonic() - begun < 0.3
    assert sent[0]["status"] == 200
    assert sent[1]["body"] == b'{"status":"ok"}'
    for future in busy:
        future.cancel()


async def test_what_is_not_health_goes_on_to_django() -> None:
    reached = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    await call(health.answer_health_first(inner), "/healthy")
    assert reached == ["/healthy"]


@pytest.mark.django_db
def test_R29_ready_names_every_part_and_is_503_while_one_fails(client: Client) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 503
    body = answer.json()
    assert body["status"] == "not_ready"
    assert set(body["checks"]) == {"database", "broker", "worker", "poller", "storage"}
    assert all(set(check) == {"ok", "ms", "message"} for check in body["checks"].values())
    assert {name for name, check in body["checks"].items() if not check["ok"]} == {"worker", "poller"}


@pytest.mark.django_db
def test_ready_is_200_when_worker_and_poller_live(client: Client) -> None:
    heartbeats.beat(heartbeats.POLLER, heartbeats.own_name())
    heartbeats.beat_as_worker(timezone.now().timestamp() - 0.25)
    answer = client.get("/ready")
    assert answer.status_code == 200, answer.content
    assert answer.json()["status"] == "ready"
    waited = Heartbeat.objects.get(kind=heartbeats.WORKER).facts["waitedMs"]
    assert 240 <= waited < 2000


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "seconds"), [(heartbeats.POLLER, 21), (heartbeats.WORKER, 61)])
def test_a_process_that_went_silent_is_not_ready(client: Client, kind: str, seconds: int) -> None:
    heartbeats.beat(heartbeats.POLLER, "here")
    heartbeats.beat(heartbeats.WORKER, "here")
    Heartbeat.objects.filter(kind=kind).update(seen_at=timezone.now() - timedelta(seconds=seconds))
    checks = client.get("/ready").json()["checks"]
    assert [name for name, check in checks.items() if not check["ok"]] == [kind]


@pytest.mark.django_db
def test_storage_that_cannot_be_written_is_not_ready(client: Client, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    settings.MEDIA_FILES_DIR = tmp_path / "taken"
    check = client.get("/ready").json()["checks"]["storage"]
    assert check["ok"] is False
    assert str(tmp_path) not in check["message"]


@pytest.mark.django_db
def test_the_storage_check_leaves_nothing_behind(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_FILES_DIR = tmp_path / "files"
    assert client.get("/ready").json()["checks"]["storage"]["ok"] is True
    assert list(settings.MEDIA_FILES_DIR.iterdir()) == []
    shutil.rmtree(settings.MEDIA_FILES_DIR)


@pytest.mark.django_db
def test_a_beat_moves_one_row_and_old_rows_go() -> None:
    heartbeats.beat("poller", "gone")
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(days=2))
    heartbeats.beat("poller", "here", {"load": 1})
    heartbeats.beat("poller", "here", {"load": 2})
    assert list(Heartbeat.objects.values_list("name", "facts")) == [("here", {"load": 2})]
    assert [row.name for row in heartbeats.alive("poller", 5)] == ["here"]


@pytest.mark.django_db
def test_workers_are_rung_once_until_they_answer(settings: Any) -> None:
    assert heartbeats.ring_workers() is True
    assert heartbeats.ring_workers() is False
    later = timezone.now() - timedelta(seconds=30)
    Heartbeat.objects.filter(kind=heartbeats.BELL).update(seen_at=later)
    assert heartbeats.ring_workers() is False, "an unanswered ring must not pile up in the broker"
    heartbeats.beat(heartbeats.WORKER, "here")
    assert heartbeats.ring_workers() is True
    if not settings.REDIS_URL:
        assert OrmQ.objects.count() == 2


@pytest.mark.django_db
def test_a_ring_that_was_lost_with_its_broker_is_given_again() -> None:
    heartbeats.ring_workers()
    Heartbeat.objects.filter(kind=heartbeats.BELL).update(seen_at=timezone.now() - timedelta(minutes=3))
    assert heartbeats.ring_workers() is True
