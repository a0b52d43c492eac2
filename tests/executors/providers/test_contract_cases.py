"""The contract takes exactly the cases that a kind's flags call for, and the handbook names the flags as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from executors import registry
from executors.providers.base import Health, Order, Provider, Report
from tests.executors.providers.contract import ProviderContract

HANDBOOK = Path(__file__).resolve().parents[3] / "docs" / "providers.md"


class Bare(Provider):
    kind = "bare"
    label = "Bare"

    def submit(self, order: Order) -> Report:
        raise NotImplementedError

    def probe(self) -> Health:
        raise NotImplementedError


def cases_of(**flags: bool) -> set[str]:
    kind = type("Kind", (Bare,), flags)
    suite = type("Suite", (ProviderContract,), {"provider_class": kind})
    return {name for name in dir(suite) if name.startswith("test_") and getattr(suite, name) is not None}


def test_every_case_applies_to_some_kind() -> None:
    everything = cases_of(can_cancel=True, can_call_back=True, uses_api_keys=True, is_repeatable=True, chooses_ref=True)
    rest = cases_of(finishes_on_submit=True, runs_here=True)
    assert everything | rest == {name for name in dir(ProviderContract) if name.startswith("test_")}


@pytest.mark.parametrize(
    ("flag", "with_it", "without_it"),
    [
        ("finishes_on_submit", "test_finishes_at_once", "test_accepts_and_gives_a_ref"),
        ("finishes_on_submit", "test_refuses_to_poll", "test_polls_many_at_once"),
        ("can_cancel", "test_cancels_and_the_others_live_on", "test_refuses_to_cancel"),
        ("can_call_back", "test_a_forged_callback_ends_nothing", "test_refuses_callbacks"),
        ("runs_here", None, "test_unreachable_is_surely_not_taken"),
        ("uses_api_keys", "test_a_refused_key_is_told_apart", None),
    ],
)
def test_a_flag_brings_its_cases_and_takes_the_others(flag: str, with_it: str | None, without_it: str | None) -> None:
    on, off = cases_of(**{flag: True}), cases_of(**{flag: False})
    assert with_it is None or with_it in on - off
    assert without_it is None or without_it in off - on


def test_the_handbook_names_the_flags_as_they_are() -> None:
    rows = [line.strip("| ").split("|") for line in HANDBOOK.read_text().splitlines() if line.startswith("| ")]
    table = [[cell.strip(" `") for cell in row] for row in rows]
    kinds = next(row[1:] for row in table if row[0] == "flag")
    classes = {kind: registry.provider_class(kind) for kind in registry.provider_kinds()}
    assert set(kinds) == {kind for kind, cls in classes.items() if cls.__module__.startswith("executors.")}
    flags = {name for name, value in vars(Provider).items() if isinstance(value, bool)}
    told = {row[0]: row[1:] for row in table if row[0] in flags}
    assert set(told) == flags
    for flag, cells in told.items():
        for kind, cell in zip(kinds, cells, strict=True):
            assert cell == ("yes" if getattr(classes[kind], flag) else "no"), (kind, flag)
