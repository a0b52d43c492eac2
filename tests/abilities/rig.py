"""A kind of provider that does what a test tells it, so that every answer and every error can come at every moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from executors.providers.base import Health, Order, Output, Phase, Provider, ProviderError, Report

Act = Report | ProviderError | Callable[[Order], Report]


class Rig(Provider):
    """We do not choose its id, it can be asked and stopped. `script` is what `submit` does, the last one for ever."""

    kind = "rig"
    label = "Rig"
    can_cancel = True
    poll_interval_s = 0.0
    script: ClassVar[list[Act]] = []
    orders: ClassVar[list[Order]] = []
    reports: ClassVar[dict[str, Report | Exception]] = {}
    """What `poll` says; an exception is raised; a ref that is missing is unknown."""
    cancelled: ClassVar[list[str]] = []
    files: ClassVar[dict[str, Callable[[], Iterator[bytes]]]] = {}
    lock: ClassVar[threading.Lock] = threading.Lock()

    def submit(self, order: Order) -> Report:
        with self.lock:
            Rig.orders.append(order)
            act = Rig.script.pop(0) if len(Rig.script) > 1 else Rig.script[0]
        if isinstance(act, ProviderError):
            raise act
        return act if isinstance(act, Report) else act(order)

    def poll(self, refs: Sequence[str]) -> Mapping[str, Report]:
        found: dict[str, Report] = {}
        for ref in refs:
            said = Rig.reports.get(ref)
            if isinstance(said, Exception):
                raise said
            if said is not None:
                found[ref] = said
        return found

    def cancel(self, ref: str) -> Report:
        Rig.cancelled.append(ref)
        return Report(phase=Phase.CANCELLED, ref=ref)

    def open_output(self, output: Output) -> Iterator[bytes]:
        assert output.locator is not None
        return Rig.files[output.locator["name"]]()

    def probe(self) -> Health:
        return Health(is_up=True)


class NamedRig(Rig):
    """We choose the id, and it knows by it whether it has the work."""

    kind = "namedrig"
    chooses_ref = True


class OwnRig(Rig):
    """Works in our own processes; doing it again harms nobody."""

    kind = "ownrig"
    needs_executor = False
    runs_here = True
    finishes_on_submit = True
    is_repeatable = True
    can_cancel = False


KINDS = (Rig, NamedRig, OwnRig)


def reset() -> None:
    for known in (Rig.script, Rig.orders, Rig.reports, Rig.cancelled, Rig.files):
        known.clear()


def accepted(ref: str = "ref-1") -> Report:
    return Report(phase=Phase.ACCEPTED, ref=ref)


def picture(name: str, data: bytes) -> Output:
    """An output that lies with the provider until it is fetched."""
    Rig.files[name] = lambda: iter([data])
    return Output(kind="image", name=f"{name}.png", content_type="image/png", locator={"name": name})


def succeeded(*outputs: Output, ref: str = "ref-1", **more: Any) -> Report:
    return Report(phase=Phase.SUCCEEDED, ref=ref, outputs=outputs, **more)
