"""The `jianying` provider keeps the contract of all providers."""

from __future__ import annotations

import pytest

from executors.providers.base import Endpoint, Order
from executors.providers.jianying.adapter import JianYingProvider
from tests.executors.providers.contract import ProviderContract, Stage
from tests.executors.providers.test_jianying.drafts import document, order_of, segment, track


class JianYingStage(Stage):
    endpoint = Endpoint(kind="jianying")

    def order(self, *, number: int = 0) -> Order:
        tracks = (track("video", segment("image", 0, 1 + number)), track("text", segment("text", content=f"{number}")))
        return order_of(document(*tracks), task_id=f"t{number}")


class TestJianYing(ProviderContract):
    provider_class = JianYingProvider

    @pytest.fixture
    def stage(self) -> Stage:
        return JianYingStage()
