"""The `podi` provider keeps the contract of all providers."""

from __future__ import annotations

import pytest

from executors.providers.base import Endpoint, Order
from executors.providers.podi import PodiProvider
from tests.executors.providers.contract import ProviderContract, Stage
from tests.executors.providers.pictures import input_file, png


class PodiStage(Stage):
    endpoint = Endpoint(kind="podi")

    def order(self, *, number: int = 0) -> Order:
        picture = input_file(png(size=(4 + number, 3)))
        return Order(task_id=f"t{number}", operation="upscale_resize", params={"max_long_edge": 8}, files=(picture,))


class TestPodi(ProviderContract):
    provider_class = PodiProvider

    @pytest.fixture
    def stage(self) -> Stage:
        return PodiStage()
