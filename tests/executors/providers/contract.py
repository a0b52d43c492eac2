"""The cases every provider adapter must pass, written once.

A kind joins with one class:

    class TestExample(ProviderContract):
        provider_class = ExampleProvider

        @pytest.fixture
        def stage(self) -> Iterator[Stage]:
            with ExampleSimulator() as simulator:
                yield ExampleStage(simulator)

Which cases apply follows from the flags the adapter declares: a case with another demand is taken out of the subclass
when it is made, so nothing is ever skipped by hand, and a flag that is wrong shows as a failing case.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from typing import Any, ClassVar, Literal

import pytest

from executors.providers.base import (
    Endpoint,
    Message,
    Order,
    Output,
    Phase,
    Provider,
    ProviderBusy,
    ProviderError,
    ProviderRefusedKey,
    ProviderRejected,
    ProviderSilent,
    ProviderUnintelligible,
    ProviderUnreachable,
    Report,
    Unsupported,
)

SECRET = "invented-secret-0f3c9a"
"""Every secret in a stage's endpoint has this value, and it must never be seen again."""

RETRY_AFTER_S = 7


class Trouble(Enum):
    """What the simulator does to every call of one kind until it is calmed."""

    BUSY = "429 with Retry-After: 7"
    REJECTED = "the provider's own words for input it will never take"
    REFUSED_KEY = "the provider's own words for a wrong key"
    CUT_UNANSWERED = "reads the request, then closes the connection without a byte"
    CUT_ANSWER = "announces a longer body than it sends, then closes"
    NO_ANSWER = "reads the request and says nothing for longer than the endpoint's read timeout"
    PROXY_ERROR = "502 with an HTML page"
    GARBAGE = "200 with a body that is not JSON"


UNANSWERED = (Trouble.CUT_UNANSWERED, Trouble.CUT_ANSWER, Trouble.NO_ANSWER, Trouble.PROXY_ERROR)


class Stage(ABC):
    """A provider's simulator as the contract sees it. Methods a kind's flags do not call for need not be written."""

    endpoint: Endpoint
    """The simulator's address; short timeouts (half a second), `SECRET` as the value of every secret."""

    @abstractmethod
    def order(self, *, number: int = 0) -> Order:
        """A valid order, another one for each number; with `ref` set where the kind chooses it."""

    def count_submits(self) -> int:
        """How many submissions the simulator's journal shows, whether it answered them or not."""
        raise NotImplementedError

    def disturb(self, call: Literal["submit", "poll"], trouble: Trouble) -> None:
        """From now on each call of this kind meets this trouble."""
        raise NotImplementedError

    def calm(self) -> None:
        """Ends all trouble."""
        raise NotImplementedError

    def start(self, ref: str) -> None:
        """Lets the work run, somewhere in its middle."""
        raise NotImplementedError

    def finish(self, ref: str) -> None:
        """Lets the work end well, with at least one output."""
        raise NotImplementedError

    def fail(self, ref: str) -> None:
        """Lets the work end badly."""
        raise NotImplementedError

    def unknown_ref(self) -> str:
        """A well-formed ref the provider never heard of."""
        raise NotImplementedError

    def callback(self, ref: str, *, forged: bool) -> Message:
        """What the provider posts about finished work; forged: the same with a wrong or missing signature."""
        raise NotImplementedError


Demand = Callable[[type[Provider]], bool]


def demands(condition: Demand) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks a case that only kinds with these flags must pass."""

    def mark(case: Callable[..., None]) -> Callable[..., None]:
        case.demand = condition  # type: ignore[attr-defined]
        return case

    return mark


def speaks_http(kind: type[Provider]) -> bool:
    return not kind.runs_here


def is_polled(kind: type[Provider]) -> bool:
    return not kind.finishes_on_submit


class ProviderContract:
    """All cases. See the module's docstring for how a kind joins."""

    provider_class: ClassVar[type[Provider]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(ProviderContract):
            demand = getattr(getattr(ProviderContract, name), "demand", None)
            if demand is not None and not demand(cls.provider_class):
                setattr(cls, name, None)

    @pytest.fixture
    def stage(self) -> Any:
        raise NotImplementedError("Give this kind's stage.")

    @pytest.fixture
    def provider(self, stage: Stage) -> Provider:
        return self.provider_class(stage.endpoint)

    # What it declares

    def test_declares_what_it_is(self, stage: Stage) -> None:
        kind = self.provider_class
        assert kind.kind == stage.endpoint.kind
        assert kind.kind.isidentifier()
        assert kind.label
        names = [parameter.name for parameter in kind.parameters]
        assert len(names) == len(set(names))
        assert {p.name for p in kind.parameters if p.secret} >= set(stage.endpoint.secrets) - {"api_key"}
        assert all(value == SECRET for value in stage.endpoint.secrets.values())

    def test_does_not_change_the_order(self, stage: Stage, provider: Provider) -> None:
        order = stage.order()
        before = (dict(order.params), dict(order.options))
        provider.submit(order)
        assert (dict(order.params), dict(order.options)) == before

    # The good way

    @demands(lambda kind: kind.finishes_on_submit)
    def test_finishes_at_once(self, stage: Stage, provider: Provider) -> None:
        report = provider.submit(stage.order())
        assert report.phase is Phase.SUCCEEDED
        assert_whole(provider, report)

    @demands(is_polled)
    def test_accepts_and_gives_a_ref(self, stage: Stage, provider: Provider) -> None:
        order = stage.order()
        report = provider.submit(order)
        assert report.phase in (Phase.ACCEPTED, Phase.RUNNING)
        assert report.ref
        assert not report.outputs
        assert stage.count_submits() == 1

    @demands(lambda kind: kind.chooses_ref)
    def test_uses_the_ref_we_chose(self, stage: Stage, provider: Provider) -> None:
        order = stage.order()
        assert order.ref
        assert provider.submit(order).ref == order.ref

    @demands(is_polled)
    def test_says_that_it_waits_or_runs(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        assert provider.poll([ref])[ref].phase in (Phase.ACCEPTED, Phase.RUNNING)
        stage.start(ref)
        report = provider.poll([ref])[ref]
        assert report.phase is Phase.RUNNING
        assert report.progress is None or 0.0 <= report.progress <= 1.0

    @demands(is_polled)
    def test_finishes_with_outputs_that_can_be_read(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        stage.finish(ref)
        report = provider.poll([ref])[ref]
        assert report.phase is Phase.SUCCEEDED
        assert report.ref == ref
        assert_whole(provider, report)

    @demands(is_polled)
    def test_another_process_can_read_the_outputs(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        stage.finish(ref)
        assert_whole(self.provider_class(stage.endpoint), provider.poll([ref])[ref])

    @demands(is_polled)
    def test_R9_a_failure_is_a_failure_with_a_cause(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        stage.fail(ref)
        report = provider.poll([ref])[ref]
        assert report.phase is Phase.FAILED
        assert report.code
        assert report.message
        assert not report.outputs

    @demands(is_polled)
    def test_tells_the_same_when_asked_twice(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        stage.finish(ref)
        first, second = provider.poll([ref])[ref], provider.poll([ref])[ref]
        assert (first.phase, first.outputs, first.code) == (second.phase, second.outputs, second.code)

    @demands(is_polled)
    def test_polls_many_at_once(self, stage: Stage, provider: Provider) -> None:
        refs = [provider.submit(stage.order(number=number)).ref for number in range(5)]
        assert len(set(refs)) == 5
        for ref in refs[:3]:
            stage.finish(ref)
        reports = provider.poll(refs)
        assert set(reports) == set(refs)
        assert [reports[ref].phase for ref in refs[:3]] == [Phase.SUCCEEDED] * 3
        assert not any(reports[ref].phase.is_final for ref in refs[3:])
        assert all(reports[ref].ref == ref for ref in refs)

    @demands(is_polled)
    def test_polls_nothing_without_a_complaint(self, provider: Provider) -> None:
        assert dict(provider.poll([])) == {}

    @demands(is_polled)
    def test_R4_an_unknown_ref_is_missing_from_the_answer(self, stage: Stage, provider: Provider) -> None:
        known, unknown = provider.submit(stage.order()).ref, stage.unknown_ref()
        assert set(provider.poll([unknown, known])) == {known}

    @demands(lambda kind: kind.is_repeatable)
    def test_the_same_order_twice_gives_the_same(self, stage: Stage, provider: Provider) -> None:
        order = stage.order()
        assert provider.submit(order).outputs == provider.submit(order).outputs

    # Trouble on submit

    @demands(speaks_http)
    def test_unreachable_is_surely_not_taken(self, stage: Stage) -> None:
        provider = self.provider_class(dead(stage.endpoint))
        with pytest.raises(ProviderUnreachable) as caught:
            provider.submit(stage.order())
        assert caught.value.is_retryable
        assert caught.value.was_taken is False
        assert stage.count_submits() == 0

    @demands(speaks_http)
    def test_busy_says_until_when(self, stage: Stage, provider: Provider) -> None:
        stage.disturb("submit", Trouble.BUSY)
        with pytest.raises(ProviderBusy) as caught:
            provider.submit(stage.order())
        assert caught.value.retry_after_s == RETRY_AFTER_S

    @demands(speaks_http)
    def test_rejected_keeps_the_cause(self, stage: Stage, provider: Provider) -> None:
        stage.disturb("submit", Trouble.REJECTED)
        with pytest.raises(ProviderRejected) as caught:
            provider.submit(stage.order())
        assert caught.value.was_taken is False
        assert caught.value.message

    @demands(lambda kind: kind.uses_api_keys)
    def test_a_refused_key_is_told_apart(self, stage: Stage, provider: Provider) -> None:
        stage.disturb("submit", Trouble.REFUSED_KEY)
        with pytest.raises(ProviderRefusedKey):
            provider.submit(stage.order())

    @demands(speaks_http)
    @pytest.mark.parametrize("trouble", UNANSWERED, ids=lambda trouble: trouble.name)
    def test_R1_R7_silence_after_sending_is_unknown_and_sent_once(
        self, stage: Stage, provider: Provider, trouble: Trouble
    ) -> None:
        stage.disturb("submit", trouble)
        with pytest.raises((ProviderSilent, ProviderUnintelligible)) as caught:
            provider.submit(stage.order())
        assert caught.value.was_taken is None
        assert not caught.value.is_retryable
        assert stage.count_submits() == 1

    @demands(speaks_http)
    def test_an_unreadable_answer_is_unknown_and_kept(self, stage: Stage, provider: Provider) -> None:
        stage.disturb("submit", Trouble.GARBAGE)
        with pytest.raises(ProviderUnintelligible) as caught:
            provider.submit(stage.order())
        assert caught.value.raw
        assert stage.count_submits() == 1

    # Trouble on poll: never "unknown", never an end

    @demands(lambda kind: speaks_http(kind) and is_polled(kind))
    @pytest.mark.parametrize("trouble", [*UNANSWERED, Trouble.GARBAGE, Trouble.BUSY], ids=lambda trouble: trouble.name)
    def test_a_disturbed_poll_decides_nothing(self, stage: Stage, provider: Provider, trouble: Trouble) -> None:
        ref = provider.submit(stage.order()).ref
        stage.disturb("poll", trouble)
        try:
            reports = provider.poll([ref])
        except ProviderError as error:
            assert not isinstance(error, ProviderRejected | ProviderRefusedKey | Unsupported)  # noqa: PT017
        else:
            assert not reports[ref].phase.is_final
        stage.calm()
        stage.finish(ref)
        assert provider.poll([ref])[ref].phase is Phase.SUCCEEDED
        assert stage.count_submits() == 1

    @demands(lambda kind: speaks_http(kind) and is_polled(kind))
    def test_polling_a_dead_address_can_be_tried_again(self, stage: Stage) -> None:
        with pytest.raises(ProviderUnreachable):
            self.provider_class(dead(stage.endpoint)).poll([stage.unknown_ref()])

    @demands(lambda kind: not is_polled(kind))
    def test_refuses_to_poll(self, provider: Provider) -> None:
        with pytest.raises(Unsupported):
            provider.poll(["any"])

    # Cancel

    @demands(lambda kind: kind.can_cancel)
    def test_cancels_and_the_others_live_on(self, stage: Stage, provider: Provider) -> None:
        other, ref = (provider.submit(stage.order(number=number)).ref for number in range(2))
        provider.cancel(ref)
        left = provider.poll([ref, other])
        assert ref not in left or left[ref].phase in (Phase.CANCELLED, Phase.RUNNING)
        assert left[other].phase in (Phase.ACCEPTED, Phase.RUNNING)

    @demands(lambda kind: kind.can_cancel)
    def test_cancelling_what_has_ended_changes_nothing(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        stage.finish(ref)
        provider.cancel(ref)
        assert provider.poll([ref])[ref].phase is Phase.SUCCEEDED

    @demands(lambda kind: not kind.can_cancel)
    def test_refuses_to_cancel(self, provider: Provider) -> None:
        with pytest.raises(Unsupported):
            provider.cancel("any")

    # Callbacks

    @demands(lambda kind: kind.can_call_back)
    def test_reads_a_signed_callback_twice_alike(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        stage.finish(ref)
        message = stage.callback(ref, forged=False)
        first, second = provider.read_callback(message), provider.read_callback(message)
        assert [report.ref for report in first] == [ref]
        assert [(r.phase, r.outputs) for r in first] == [(r.phase, r.outputs) for r in second]

    @demands(lambda kind: kind.can_call_back)
    def test_a_forged_callback_ends_nothing(self, stage: Stage, provider: Provider) -> None:
        ref = provider.submit(stage.order()).ref
        try:
            reports: Sequence[Report] = provider.read_callback(stage.callback(ref, forged=True))
        except ProviderError:
            reports = ()
        assert not any(report.phase.is_final or report.outputs for report in reports)

    @demands(lambda kind: kind.can_call_back)
    def test_a_callback_full_of_garbage_is_refused(self, provider: Provider) -> None:
        with pytest.raises(ProviderError):
            provider.read_callback(Message(headers={}, body=b"\xff not json"))

    @demands(lambda kind: not kind.can_call_back)
    def test_refuses_callbacks(self, provider: Provider) -> None:
        with pytest.raises(Unsupported):
            provider.read_callback(Message(headers={}, body=b"{}"))

    # Probe, secrets, threads

    def test_probe_finds_it_up(self, provider: Provider) -> None:
        assert provider.probe().is_up

    @demands(speaks_http)
    def test_probe_of_a_dead_service_says_so_and_does_not_raise(self, stage: Stage) -> None:
        health = self.provider_class(dead(stage.endpoint)).probe()
        assert not health.is_up
        assert health.message

    def test_secrets_are_never_shown(self, stage: Stage, provider: Provider) -> None:
        seen: list[object] = [provider, provider.endpoint, provider.probe(), provider.submit(stage.order())]
        if speaks_http(self.provider_class):
            for trouble in (Trouble.REJECTED, Trouble.PROXY_ERROR, Trouble.CUT_UNANSWERED, Trouble.GARBAGE):
                stage.disturb("submit", trouble)
                with pytest.raises(ProviderError) as caught:
                    provider.submit(stage.order())
                seen += [caught.value, *everything_behind(caught.value)]
        assert not [thing for thing in seen if SECRET in f"{thing!r} {thing}"]

    def test_several_threads_share_one_adapter(self, stage: Stage, provider: Provider) -> None:
        orders = [stage.order(number=number) for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            reports = list(threads.map(provider.submit, orders))
        assert not any(report.phase in (Phase.FAILED, Phase.CANCELLED) for report in reports)
        if is_polled(self.provider_class):
            assert len({report.ref for report in reports}) == 8
            assert stage.count_submits() == 8


def dead(endpoint: Endpoint) -> Endpoint:
    """The same endpoint at a port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return replace(endpoint, base_url=f"http://127.0.0.1:{port}")


def everything_behind(error: ProviderError) -> list[object]:
    """What a log could print of an error: its facts, and the errors it hangs on."""
    return [error.raw, error.fields, error.__cause__, error.__context__, vars(error)]


def read_output(provider: Provider, output: Output) -> bytes:
    """The output's content, from wherever it says it is; exactly one place."""
    places = [place for place in (output.text, output.data, output.file, output.locator) if place is not None]
    assert len(places) == 1
    if output.text is not None:
        return output.text.encode()
    if output.data is not None:
        return output.data
    if output.file is not None:
        return output.file().read()
    return b"".join(provider.open_output(output))


def assert_whole(provider: Provider, report: Report) -> None:
    """A success has outputs, each with a kind and with content."""
    assert report.outputs
    for output in report.outputs:
        assert output.kind in ("image", "video", "text", "file")
        assert read_output(provider, output)
