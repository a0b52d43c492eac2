"""A provider of the tests' own, and rows to route to."""

from __future__ import annotations

from typing import Any

from executors.models import ApiKey, Executor
from executors.pool import leases
from executors.providers.base import Health, Order, Parameter, Phase, Provider, Report


class Node(Provider):
    """A kind whose queue is counted; it keeps what it was built from."""

    kind = "testnode"
    label = "Test node"
    queue_code = "Q1001"
    runs_workflows = True
    parameters = (
        Parameter(name="base_url", label="Address", type="url", required=True),
        Parameter(name="password", label="Password", secret=True),
        Parameter(name="depth", label="Depth", type="number"),
        Parameter(name="mode", label="Mode", type="select", choices=("fast", "fine")),
    )
    health = Health(is_up=True)

    def submit(self, order: Order) -> Report:
        return Report(phase=Phase.ACCEPTED, ref=order.ref)

    def probe(self) -> Health:
        return type(self).health


class Account(Node):
    """A kind that works with API keys."""

    kind = "testaccount"
    label = "Test account"
    queue_code = "Q2001"
    runs_workflows = False
    uses_api_keys = True
    parameters = ()


class InProcess(Node):
    kind = "testlocal"
    label = "Test in process"
    needs_executor = False
    runs_here = True
    queue_code = ""
    runs_workflows = False
    parameters = ()


def make_executor(pk: str, **changes: Any) -> Executor:
    values: dict[str, Any] = {
        "name": pk,
        "type": "testnode",
        "status": "active",
        "base_url": f"http://{pk}.invalid:8079",
        "max_concurrency": 1,
    }
    row = Executor.objects.create(pk=pk, **(values | changes))
    leases.make_turn(row.type)  # as the service does that creates executors
    return row


def make_key(pk: str, **changes: Any) -> ApiKey:
    values: dict[str, Any] = {"provider": "testaccount", "name": pk, "key": f"invented-{pk}", "last_four": pk[-4:]}
    return ApiKey.objects.create(pk=pk, **(values | changes))
