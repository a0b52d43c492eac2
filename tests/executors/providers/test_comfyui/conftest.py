"""A simulated node of each recorded version, and the adapter that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from executors.providers.comfyui import ComfyUIProvider
from tests.executors.providers.test_comfyui.orders import endpoint_of
from tests.simulators.comfyui import VERSIONS, ComfyUISimulator


@pytest.fixture(params=VERSIONS)
def node(request: pytest.FixtureRequest) -> Iterator[ComfyUISimulator]:
    with ComfyUISimulator(version=request.param) as node:
        yield node


@pytest.fixture
def provider(node: ComfyUISimulator) -> ComfyUIProvider:
    return ComfyUIProvider(endpoint_of(node))
