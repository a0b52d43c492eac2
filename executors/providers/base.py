"""What every provider adapter is: the words it speaks, the flags it declares, the errors it may raise.

Plain Python: no Django, no database, no settings. An adapter is built from an `Endpoint` and must be safe to use from
several threads. Callers test a flag, never a kind.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, ClassVar, Literal

OutputKind = Literal["image", "video", "text", "file"]
ParameterType = Literal["text", "url", "number", "boolean", "select"]


class Phase(StrEnum):
    """How far the provider got. `ACCEPTED` means it has the work; the last three are final."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing an operator sets on an executor of this kind; the admin draws its form from these."""

    name: str
    label: str
    type: ParameterType = "text"
    required: bool = False
    secret: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where and as whom to speak: plain data, never a model. Times in seconds."""

    kind: str
    executor_id: str = ""
    base_url: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    max_response_bytes: int = 64 * 1024 * 1024
    allowed_networks: tuple[str, ...] = ()
    """Own networks that links in answers may lead to although they are not public."""
    max_output_bytes: int = 500 * 1024 * 1024
    """Of one result behind such a link."""


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file that goes into the work. `open` may be called again and again; each call starts at byte 0."""

    field: str
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    open: Callable[[], BinaryIO]
    width: int | None = None
    height: int | None = None
    url: str = ""
    """A link the provider can fetch, where there is one."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One piece of work, everything a provider needs to do it.

    `params` are the checked inputs without the image fields; `options` is the ability's metadata (model_id, api_type,
    ...); `workflow` is a stored graph with its input map, for kinds that run graphs. `ref` is set where we choose it.
    """

    task_id: str
    operation: str
    params: Mapping[str, Any]
    files: tuple[InputFile, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    workflow: Mapping[str, Any] | None = None
    ref: str = ""
    expected_outputs: int | None = None
    callback_url: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Our own names for this work (ability_id, request_id, ...), for providers that let us attach some."""

    def files_of(self, *fields: str) -> tuple[InputFile, ...]:
        """The files given for these input fields, in order; all files when no field is named."""
        return tuple(f for f in self.files if not fields or f.field in fields)


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file that the inputs name by its address. It is fetched and kept before the work, and comes with the order as
    the InputFile of this `field` (at most 64 characters). Its bytes must be of one of these kinds."""

    field: str
    url: str
    kinds: tuple[Literal["image", "video", "audio"], ...]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a look at the inputs found before there is a task. `facts` is JSON, kept with the task for its owner."""

    files: tuple[NamedFile, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Output:
    """One result. Exactly one of `text`, `data`, `file`, `locator` says where it is.

    `locator` is JSON that this adapter's `open_output` understands, even in another process a day later. `data` and
    `file` are only for kinds that make the bytes themselves; `file` may be called again and again, each call starts at
    byte 0, and what it reads vanishes with this process.
    """

    kind: OutputKind
    name: str = ""
    content_type: str = ""
    text: str | None = None
    data: bytes | None = field(default=None, repr=False)
    file: Callable[[], BinaryIO] | None = field(default=None, repr=False, compare=False)
    locator: Mapping[str, Any] | None = None
    source_url: str = ""
    tag: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the provider itself says it spent; None where it does not say."""

    images: int | None = None
    seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str | None = None
    currency: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a provider says, normalised. `raw` is its own answer, kept for the operator and cut before storing."""

    phase: Phase
    ref: str = ""
    progress: float | None = None
    """0.0 to 1.0."""
    outputs: tuple[Output, ...] = ()
    usage: Usage | None = None
    code: str = ""
    """Our stable code when `phase` is failed, for example COMFYUI_ERROR."""
    message: str = ""
    """The provider's first cause, fit for a customer: no paths, no secrets."""
    queue_position: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    raw: Any = None


@dataclass(frozen=True, kw_only=True)
class Health:
    """The answer to a probe. `inventory` is JSON: models, loras, nodes, versions."""

    is_up: bool
    message: str = ""
    queue_running: int | None = None
    queue_pending: int | None = None
    version: str = ""
    latency_ms: float | None = None
    inventory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Nudge:
    """What was heard from a service that talks. Only a reason to look sooner or a number to show; polling is the truth.

    changed: ask for everything open there. progress: `ref` has done this share (0.0 to 1.0) of the step it is in. lost,
    back: the connection broke or came up; after "back" the service may have restarted and forgotten all.
    """

    kind: Literal["changed", "progress", "lost", "back"]
    executor_id: str
    ref: str = ""
    progress: float | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a provider posted to us. Header names in lower case."""

    headers: Mapping[str, str]
    body: bytes


class ProviderError(Exception):
    """Why a call to a provider did not give a report.

    `is_retryable`: another try may help. `was_taken`: False means surely not, None means nobody knows.
    """

    is_retryable: ClassVar[bool] = False
    was_taken: ClassVar[bool | None] = False
    default_code: ClassVar[str] = "PROVIDER_ERROR"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        retry_after_s: float | None = None,
        raw: Any = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.retry_after_s = retry_after_s
        self.raw = raw
        self.fields = dict(fields or {})


class ProviderUnreachable(ProviderError):
    """No connection was made: the work was surely not taken; another executor may try."""

    is_retryable = True
    default_code = "PROVIDER_UNREACHABLE"


class ProviderBusy(ProviderError):
    """It refused for now (429, full queue). The executor or key pauses for `retry_after_s`."""

    is_retryable = True
    default_code = "PROVIDER_BUSY"


class ProviderRejected(ProviderError):
    """It read the work and will never take it: bad input, moderation."""

    default_code = "PROVIDER_REJECTED"


class ProviderRefusedKey(ProviderError):
    """The key is wrong, blocked or used up (401, 403, quota): another key may do."""

    default_code = "PROVIDER_REFUSED_KEY"


class ProviderSilent(ProviderError):
    """Sent, then nothing (timeout, 5xx from a proxy, cut connection): it may have been taken."""

    was_taken = None
    default_code = "PROVIDER_SILENT"


class ProviderUnintelligible(ProviderError):
    """It answered something we cannot read: it may have been taken."""

    was_taken = None
    default_code = "PROVIDER_UNINTELLIGIBLE"


class Unsupported(ProviderError):
    """This adapter cannot do that: a bug in the caller or a missing flag."""

    default_code = "PROVIDER_UNSUPPORTED"


class Provider(ABC):
    """One kind of service. Subclasses declare what they are and fill in the calls they support."""

    kind: ClassVar[str]
    label: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()

    needs_executor: ClassVar[bool] = True
    """False where no row in `executors` is needed: nothing has to be known, or the settings give address and token."""
    runs_here: ClassVar[bool] = False
    """The work is done in our own processes: no network, and nothing in its raw answers is a vendor's secret."""
    finishes_on_submit: ClassVar[bool] = False
    """`submit` may take seconds and then gives the final report."""
    is_quick: ClassVar[bool] = False
    """`submit` returns soon enough to be run inside a web request."""
    is_repeatable: ClassVar[bool] = False
    """Doing the same order twice harms and costs nothing, so an interrupted one is simply done again."""
    chooses_ref: ClassVar[bool] = False
    """We choose `ref` before sending; `poll` can say whether the provider knows it."""
    can_cancel: ClassVar[bool] = False
    can_call_back: ClassVar[bool] = False
    uses_api_keys: ClassVar[bool] = False
    runs_workflows: ClassVar[bool] = False
    has_inventory: ClassVar[bool] = False
    """`inventory` tells what it can do; workflows are then only sent where nothing is known to be missing."""
    can_watch: ClassVar[bool] = False
    """It tells by itself that something changed; see `watch`."""
    poll_interval_s: ClassVar[float] = 1.0
    """How often open work of this kind is asked for."""
    queue_code: ClassVar[Literal["", "Q1001", "Q2001"]] = ""
    """The code when an executor's queue is full; empty where no queue is counted."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @classmethod
    def examine(cls, operation: str, params: Mapping[str, Any], *, pictures: Sequence[str] = ()) -> Examined:
        """Look at checked inputs before there is a task: pure and quick, no network. `pictures` names the field of each
        picture that was given. Raises ProviderRejected with `fields` for inputs that no order could be made of."""
        return Examined()

    @abstractmethod
    def submit(self, order: Order) -> Report:
        """Send the work. A final report if the answer is already here."""

    @abstractmethod
    def probe(self) -> Health:
        """Is it there, how long is its queue, what can it do. Never raises for a service that is down."""

    def poll(self, refs: Sequence[str]) -> Mapping[str, Report]:
        """Reports of these refs. A ref that is missing from the answer is one the provider surely does not know."""
        raise Unsupported(f"{self.kind} cannot be polled")

    def cancel(self, ref: str) -> Report:
        """Ask to stop. The report says what became of it, which may be that it runs on."""
        raise Unsupported(f"{self.kind} cannot cancel")

    def read_callback(self, message: Message) -> Sequence[Report]:
        """Verify and read what the provider posted. An unsigned message is only a nudge: phase RUNNING."""
        raise Unsupported(f"{self.kind} does not call back")

    def watch(self, on_nudge: Callable[[Nudge], None], stop: threading.Event) -> None:
        """Listen until `stop` is set, reconnecting for ever. Blocks; `on_nudge` comes from other threads, must be quick
        and must not raise. Nothing may depend on a nudge arriving."""
        raise Unsupported(f"{self.kind} cannot be watched")

    def fit(self, report: Report, options: Mapping[str, Any]) -> Report:
        """The report of a poll as the ability's metadata (`options`) wants it read: which field holds which output.

        For kinds whose answers have no fixed form. Pure, and fitting twice changes nothing.
        """
        return report

    def forget(self, ref: str) -> None:  # noqa: B027  (most providers need no telling)
        """Tell the provider it may drop its record of finished work. Nothing depends on it."""

    def inventory(self) -> Mapping[str, Any]:
        """Everything it can do (models, nodes, versions) as JSON. May cost it a second: ask now and then."""
        raise Unsupported(f"{self.kind} has no inventory")

    def open_output(self, output: Output) -> Iterator[bytes]:
        """The bytes of an output with a locator, in chunks. Raises ProviderError when they cannot be had."""
        raise Unsupported(f"{self.kind} gives its outputs at once")
