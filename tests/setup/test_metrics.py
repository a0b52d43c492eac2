"""/metrics is for operators, in Prometheus' words (R29)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from podi.base import heartbeats
from podi.base.models import Heartbeat

pytestmark = pytest.mark.django_db


def read(client: Client) -> Any:
    return client.get("/metrics", headers={"Authorization": f"Bearer {settings.SERVICE_API_TOKEN}"})


def test_strangers_learn_nothing(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 401
    assert b"podi_" not in answer.content


def test_R29_queue_age_and_heartbeats_are_there(client: Client) -> None:
    heartbeats.beat(heartbeats.POLLER, "here")
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(seconds=42))
    answer = read(client)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert re.search(r'^podi_heartbeat_age_seconds\{kind="poller"\} 42', text, re.MULTILINE)
    assert 'podi_tasks_open{state="queued"} 0' in text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z_]+(\{[^}]*\})? [0-9.e+-]+", line) for line in lines), text


def test_reading_costs_a_fixed_number_of_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    read(client)
    with django_assert_max_num_queries(12):
        read(client)
