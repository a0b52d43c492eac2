"""Coze, a worker that really works while a call waits, and abilities with every kind of field."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from abilities import runner, services
from abilities.models import Ability
from podi.base.models import User
from tests.abilities.conftest import operator, upscale, user
from tests.coze_plugin.coze import Coze
from tests.flows.conftest import executor, invert, node
from tests.flows.driver import work_off

__all__ = ["executor", "invert", "node", "operator", "upscale", "user"]


@pytest.fixture(autouse=True)
def settings_of_coze(settings: Any) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.COZE_TRUSTED_IPS = []
    settings.COZE_DOCUMENT_ORIGINS = []
    settings.COZE_POLL_WAIT_S = 0


@pytest.fixture
def coze() -> Coze:
    return Coze()


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    """What the worker and the poller do, in a thread beside the test."""
    stop = threading.Event()

    def work() -> None:
        polling = runner.Polling()
        try:
            while not stop.is_set():
                work_off()
                polling.step()
                runner.sweep()
                stop.wait(0.03)
        finally:
            polling.close()
            connection.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(10)


def make_ability(**fields: Any) -> Ability:
    key = fields.pop("capability_key", "everything")
    provider = fields.pop("provider", "podi")
    values: dict[str, Any] = {
        "ability_id": f"{provider}_{key}",
        "provider": provider,
        "category": "utilities",
        "capability_key": key,
        "display_name": f"{provider} · {key}",
        "status": "active",
        "metadata": {"api_type": "podi_utility", "action": key, "outputs": {"images": 1}},
    }
    return services.create_ability(None, **{**values, **fields})


@pytest.fixture
def boss(operator: User) -> User:
    return operator
