"""The tests' own provider kinds, registered for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from executors import registry
from executors.providers.base import Health
from executors.services import connections
from tests.executors.factories import Account, InProcess, Node


@pytest.fixture(autouse=True)
def _kinds() -> Iterator[None]:
    for cls in (Node, Account, InProcess):
        registry._PROVIDERS[cls.kind] = cls
        cls.health = Health(is_up=True)
    yield
    for cls in (Node, Account, InProcess):
        del registry._PROVIDERS[cls.kind]
    connections._adapters.clear()
