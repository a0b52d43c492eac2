"""What staff may ask a ComfyUI node: models, queue, system. Asked live, with the answers' codes of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from django.utils import timezone

from executors.errors import (
    BaseUrlMissing,
    ExecutorNotFound,
    ExecutorTypeMismatch,
    NodeAnswerFailed,
)
from executors.models import Executor, Status
from executors.providers.base import ProviderError
from executors.registry import ComfyUIProvider, QueueStatus, as_comfyui
from executors.services.connections import base_url_of, connect

KIND = "comfyui"
_AT_ONCE = 8
Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class NodeQueue:
    """The queue of one node. `is_supported` is False where it could not be asked, and `message` says why."""

    executor_id: str
    name: str
    base_url: str
    running: int = 0
    pending: int = 0
    queue_max_size: int | None = None
    is_supported: bool = True
    message: str = ""
    raw: Any = None


@dataclass(frozen=True, kw_only=True)
class QueueSummary:
    """All asked nodes together, at one time."""

    servers: tuple[NodeQueue, ...]
    asked_at: datetime

    @property
    def running(self) -> int:
        return sum(server.running for server in self.servers)

    @property
    def pending(self) -> int:
        return sum(server.pending for server in self.servers)


@dataclass(frozen=True, kw_only=True)
class NodeModels:
    executor_id: str
    base_url: str
    models: Mapping[str, Sequence[str]]
    node_keys: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class NodeStats:
    executor_id: str
    base_url: str
    stats: Mapping[str, Any]


def find_node(executor_id: str) -> Executor:
    """Raises EXECUTOR_NOT_FOUND, EXECUTOR_TYPE_NOT_COMFYUI, COMFYUI_BASE_URL_MISSING."""
    executor = Executor.objects.filter(pk=executor_id).defer("inventory").first()
    if executor is None:
        raise ExecutorNotFound(executorId=executor_id)
    if executor.type != KIND:
        raise ExecutorTypeMismatch(wanted=KIND, executor_id=executor_id)
    if not base_url_of(executor):
        raise BaseUrlMissing(executorId=executor_id)
    return executor


def read_models(executor_id: str, *, include_nodes: bool = False) -> NodeModels:
    """Network work. Raises what `find_node` raises; COMFYUI_OBJECT_INFO_ERROR or _INVALID (502)."""
    executor = find_node(executor_id)
    found = _ask(executor, lambda node: node.models(include_nodes=include_nodes))
    return NodeModels(
        executor_id=executor.pk, base_url=base_url_of(executor), models=found.models, node_keys=found.node_keys
    )


def read_queue(executor_id: str) -> NodeQueue:
    """Network work. Raises what `find_node` raises; COMFYUI_QUEUE_STATUS_ERROR or _INVALID (502)."""
    executor = find_node(executor_id)
    return _as_queue(executor, _ask(executor, lambda node: node.queue_status()))


def read_stats(executor_id: str) -> NodeStats:
    """Network work. Raises what `find_node` raises; COMFYUI_SYSTEM_STATS_ERROR (502)."""
    executor = find_node(executor_id)
    stats = _ask(executor, lambda node: node.system_stats(), only_code="COMFYUI_SYSTEM_STATS_ERROR")
    return NodeStats(executor_id=executor.pk, base_url=base_url_of(executor), stats=stats)


def summarise_queues(executor_ids: Sequence[str] = ()) -> QueueSummary:
    """The queues of these nodes, else of all active ones, asked at the same time. A node that fails is named so."""
    nodes = Executor.objects.filter(type=KIND).defer("inventory").order_by("pk")
    nodes = nodes.filter(pk__in=executor_ids) if executor_ids else nodes.filter(status=Status.ACTIVE)
    rows = list(nodes)
    connections = [(row, _connect_or_error(row)) for row in rows]
    if not rows:
        return QueueSummary(servers=(), asked_at=timezone.now())
    with ThreadPoolExecutor(min(_AT_ONCE, len(rows))) as threads:
        servers = tuple(threads.map(lambda pair: _queue_or_problem(*pair), connections))
    return QueueSummary(servers=servers, asked_at=timezone.now())


def _connect_or_error(executor: Executor) -> ComfyUIProvider | str:
    """Reads the database, so it stays in the caller's thread."""
    if not base_url_of(executor):
        return BaseUrlMissing.code
    return as_comfyui(connect(KIND, executor).provider)


def _queue_or_problem(executor: Executor, node: ComfyUIProvider | str) -> NodeQueue:
    problem = node if isinstance(node, str) else ""
    if isinstance(node, ComfyUIProvider):
        try:
            return replace(_as_queue(executor, node.queue_status()), raw=None)
        except ProviderError as error:
            problem = error.code
    return NodeQueue(
        executor_id=executor.pk,
        name=executor.name,
        base_url=base_url_of(executor),
        is_supported=False,
        message=problem,
    )


def _as_queue(executor: Executor, status: QueueStatus) -> NodeQueue:
    return NodeQueue(
        executor_id=executor.pk,
        name=executor.name,
        base_url=base_url_of(executor),
        running=status.running,
        pending=status.pending,
        queue_max_size=status.queue_max_size,
        is_supported=status.is_supported,
        message=status.message,
        raw=status.raw,
    )


def _ask(executor: Executor, question: Callable[[ComfyUIProvider], Answer], *, only_code: str = "") -> Answer:
    node = as_comfyui(connect(KIND, executor).provider)
    try:
        return question(node)
    except ProviderError as error:
        raise NodeAnswerFailed(only_code or error.code, error.message, executorId=executor.pk) from error
