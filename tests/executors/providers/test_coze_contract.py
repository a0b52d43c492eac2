"""The `coze` provider keeps the contract of all providers, against the cloud and against Coze Studio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from executors.providers.base import Endpoint, Order
from executors.providers.coze import CozeProvider
from tests.executors.providers.contract import RETRY_AFTER_S, SECRET, ProviderContract, Stage, Trouble
from tests.simulators.coze import CozeSimulator

FAULTS: dict[Trouble, dict[str, Any]] = {
    Trouble.BUSY: {"kind": "status", "status": 429, "headers": {"Retry-After": str(RETRY_AFTER_S)}},
    Trouble.REJECTED: {
        "kind": "status",
        "status": 200,
        "content_type": "application/json",
        "body": '{"code": 4000, "msg": "Missing required parameters: image", "detail": {"logid": "1"}}',
    },
    Trouble.CUT_UNANSWERED: {"kind": "cut_after"},
    Trouble.CUT_ANSWER: {"kind": "cut_answer"},
    Trouble.NO_ANSWER: {"kind": "hang_after"},
    Trouble.PROXY_ERROR: {"kind": "status", "status": 502},
    Trouble.GARBAGE: {"kind": "garbage"},
}


class CozeStage(Stage):
    def __init__(self, coze: CozeSimulator) -> None:
        self.coze = coze
        coze.runs.holds = True
        self.endpoint = Endpoint(
            kind="coze",
            base_url=coze.url,
            secrets={"token": SECRET},
            options={"flavour": coze.flavour},
            connect_timeout_s=0.5,
            read_timeout_s=0.5,
            allowed_networks=("127.0.0.0/8",),
        )

    def order(self, *, number: int = 0) -> Order:
        return Order(
            task_id=f"t{number}",
            operation="poster",
            params={"prompt": f"cup {number}"},
            options={"coze_workflow_id": "7400000000000000001", "outputs": {"images": 1}},
        )

    def count_submits(self) -> int:
        return len(self.coze.requests_to("POST", "/v1/workflow/run"))

    def disturb(self, call: Literal["submit", "poll"], trouble: Trouble) -> None:
        self.coze.faults.clear()
        histories = "GET /v1/workflow*"
        self.coze.add_fault("POST /v1/workflow/run" if call == "submit" else histories, times=None, **FAULTS[trouble])

    def calm(self) -> None:
        self.coze.faults.clear()

    def start(self, ref: str) -> None:
        assert self.coze.runs.by_id[_execute_id(ref)].status == "Running"

    def finish(self, ref: str) -> None:
        self.coze.runs.finish(_execute_id(ref))

    def fail(self, ref: str) -> None:
        self.coze.runs.fail(_execute_id(ref))

    def unknown_ref(self) -> str:
        return "7400000000000000001:7400000000000000999:1700000000"


def _execute_id(ref: str) -> str:
    return ref.split(":")[1]


class _Contract(ProviderContract):
    provider_class = CozeProvider
    flavour: Literal["cloud", "studio"]

    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        with CozeSimulator(flavour=self.flavour, token=SECRET) as coze:
            yield CozeStage(coze)


class TestCloud(_Contract):
    flavour = "cloud"


class TestStudio(_Contract):
    flavour = "studio"
