"""ComfyUI nodes: sends a graph under an id of ours, asks queue and history for it, fetches what it made."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from executors.providers.base import (
    Endpoint,
    Health,
    Nudge,
    Order,
    Output,
    Parameter,
    Phase,
    Provider,
    ProviderError,
    ProviderRejected,
    ProviderUnintelligible,
    ProviderUnreachable,
    Report,
    Unsupported,
)
from executors.providers.comfyui import progress
from executors.providers.comfyui.graph import Graph, node_classes
from executors.providers.comfyui.inventory import (
    NodeModels,
    QueueStatus,
    read_models,
    read_queue_status,
    read_system_stats,
    summarise_stats,
)
from executors.providers.comfyui.node import Node, Queue
from executors.providers.comfyui.outputs import OUR_DATA, read_entry
from executors.providers.comfyui.prompts import Prompt, PromptBuilder
from executors.providers.comfyui.refusals import (
    as_mapping,
    dropped_outputs,
    is_malformed,
    node_error_code,
    read_refusal,
    refusal_of,
)
from executors.providers.transport import Answer, error_for

CANCEL_WAIT_S = 1.0
HISTORY_THREADS = 4


class ComfyUIProvider(Provider):
    """One ComfyUI server. Holds no state that matters: a new instance knows as much as an old one."""

    kind = "comfyui"
    label = "ComfyUI"
    parameters = (
        Parameter(
            name="token",
            label="Access token",
            secret=True,
            help="Sent as a bearer token, for a node behind a proxy that asks for one.",
        ),
        Parameter(
            name="upload_subfolder",
            label="Folder for uploads",
            default="podi",
            help="Inside the node's input folder. Loaders list only the top folder, so a subfolder keeps them fast.",
        ),
        Parameter(
            name="stall_check_s",
            label="Stall check (seconds)",
            type="number",
            default=2.0,
            help="How long prompts may wait with nothing running before a probe calls the node stalled.",
        ),
    )
    is_quick = True
    chooses_ref = True
    can_cancel = True
    runs_workflows = True
    has_inventory = True
    can_watch = True
    queue_code = "Q1001"

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.node = Node(endpoint)
        subfolder = str(endpoint.options.get("upload_subfolder", "podi") or "")
        self.prompts = PromptBuilder(self.node, upload_subfolder=subfolder)

    @property
    def client_id(self) -> str:
        """The client id of our prompts: always a text (any other kind stops a node's process), one per executor."""
        return str(self.endpoint.options.get("client_id") or f"podi-{self.endpoint.executor_id or 'node'}")

    def watch(self, on_nudge: Callable[[Nudge], None], stop: threading.Event) -> None:
        progress.watch(self.endpoint, self.client_id, on_nudge, stop)

    def submit(self, order: Order) -> Report:
        """Uploads the pictures and queues the graph under `order.ref`.

        The report is ACCEPTED, or FAILED when every wanted output was dropped as invalid.
        """
        if not _is_canonical_uuid(order.ref):
            raise Unsupported("A ComfyUI order needs a lower-case hyphenated UUID as its ref.")
        prompt = self.prompts.build(order)
        body = {
            "prompt": prompt.graph,
            "prompt_id": order.ref,
            "client_id": self.client_id,
            "extra_data": {OUR_DATA: {"output_node_ids": prompt.wanted}},
        }
        answer = self.node.post_prompt(body)
        if answer.status == 200:
            return self._read_acceptance(order.ref, prompt, answer)
        if answer.status == 400:
            raise self._with_all_missing_types(read_refusal(answer), prompt.graph)
        if is_malformed(answer):
            # The one 500 after which a prompt may yet be queued is a clash of ids; look before calling it refused.
            if order.ref in self.node.read_queue().places:
                return Report(phase=Phase.ACCEPTED, ref=order.ref, raw=answer.excerpt)
            raise read_refusal(answer)
        if answer.status == 413:
            raise read_refusal(answer)
        if answer.status in (404, 405):
            raise ProviderUnreachable("No ComfyUI answers at this address.", raw=answer.excerpt)
        raise error_for(answer, idempotent=False)

    def poll(self, refs: Sequence[str]) -> Mapping[str, Report]:
        """One `/queue` for all, then `/history/{id}` for those not in it.

        In this order a prompt is never out of sight. What was in neither is looked for once more before it counts as
        unknown, because a request that seemed lost may arrive late.
        """
        reports: dict[str, Report] = {}
        unseen = list(dict.fromkeys(refs))
        for _look in range(2):
            if not unseen:
                break
            queue = self.node.read_queue()
            for ref in unseen:
                place = queue.places.get(ref)
                if place is not None:
                    reports[ref] = _queued_report(ref, place)
            unseen = [ref for ref in unseen if ref not in reports]
            reports.update(self._read_ended(unseen))
            unseen = [ref for ref in unseen if ref not in reports]
        return reports

    def cancel(self, ref: str) -> Report:
        """Takes a waiting prompt out of the queue, interrupts it if it is the running one, says what became of it.

        A running step that reports nothing cannot be cut short: then the report is RUNNING and a later poll tells.
        """
        queue = self.node.read_queue()
        if ref in queue.pending:
            self.node.delete_pending(ref)
            queue = self.node.read_queue()
        if ref in queue.running:
            self.node.interrupt(ref)
        return self._wait_for_end(ref)

    def open_output(self, output: Output) -> Iterator[bytes]:
        """Streams `/view`. Raises ProviderRejected COMFYUI_ASSETS_EMPTY when the node no longer has the file."""
        if output.locator is None:
            raise Unsupported("This output is not a file on a node.")
        return self.node.open_file(output.locator)

    def forget(self, ref: str) -> None:
        """Deletes the history entry of a run whose outputs are stored, so that the node's history does not grow."""
        self.node.delete_history(ref)

    def probe(self) -> Health:
        """Up, version, queue and devices, from two cheap requests. A node whose worker has died is not up."""
        started = time.monotonic()
        try:
            stats = self.node.read_system_stats()
            queue = self.node.read_queue()
            latency_ms = (time.monotonic() - started) * 500
            is_stalled = self._is_stalled(queue)
        except ProviderError as error:
            return Health(is_up=False, message=error.message)
        return Health(
            is_up=not is_stalled,
            message="Prompts wait and nothing runs: the node's worker has stopped. Restart it." if is_stalled else "",
            queue_running=len(queue.running),
            queue_pending=len(queue.pending),
            version=str(as_mapping(stats.get("system")).get("comfyui_version") or ""),
            latency_ms=round(latency_ms, 1),
            inventory=summarise_stats(stats),
        )

    def inventory(self) -> dict[str, Any]:
        """All models and node types, as JSON. Costs the node up to a second: ask now and then, not with every probe."""
        found = read_models(self.node, include_nodes=True)
        return {
            **summarise_stats(read_system_stats(self.node)),
            "models": {kind: list(names) for kind, names in found.models.items()},
            "nodes": sorted(found.node_keys or ()),
        }

    def models(self, *, include_nodes: bool = False) -> NodeModels:
        """The choices of the node's loaders. Codes COMFYUI_OBJECT_INFO_ERROR and _INVALID."""
        return read_models(self.node, include_nodes=include_nodes)

    def queue_status(self) -> QueueStatus:
        """Running and waiting prompts. Codes COMFYUI_QUEUE_STATUS_ERROR and _INVALID."""
        return read_queue_status(self.node)

    def system_stats(self) -> Mapping[str, Any]:
        """The node's own words about itself, without its command line. Code COMFYUI_SYSTEM_STATS_ERROR."""
        return read_system_stats(self.node)

    def _read_acceptance(self, ref: str, prompt: Prompt, answer: Answer) -> Report:
        body = as_mapping(answer.json())
        if not isinstance(body.get("prompt_id"), str):
            raise ProviderUnintelligible("The node did not say which prompt it took.", raw=answer.excerpt)
        # Servers from before caller-chosen ids answer one of their own: that is then the ref.
        taken = Report(
            phase=Phase.ACCEPTED,
            ref=body["prompt_id"],
            metadata={"number": body.get("number"), "seed": prompt.seed},
            raw=dict(body),
        )
        node_errors = as_mapping(body.get("node_errors"))
        if not node_errors:
            return taken
        dropped = dropped_outputs(node_errors)
        if not prompt.wanted or not dropped.issuperset(prompt.wanted):
            return replace(taken, metadata={**taken.metadata, "dropped_outputs": sorted(dropped)})
        with suppress(ProviderError):
            # It would run only what nobody asked for; if it cannot be stopped, that harms nobody's result.
            self.cancel(taken.ref)
        return replace(taken, phase=Phase.FAILED, code=node_error_code(node_errors), message=refusal_of(body).message)

    def _with_all_missing_types(self, refusal: ProviderRejected, graph: Graph) -> ProviderRejected:
        """A node names only the first type it lacks; ask it for all, so that one message says what to install."""
        raw = as_mapping(refusal.raw)
        if not as_mapping(raw.get("missing")).get("nodes"):
            return refusal
        missing: list[str] = []
        with suppress(ProviderError):
            missing = [name for name in node_classes(graph) if self.node.read_definition(name) is None]
        if not missing:
            return refusal
        return ProviderRejected(
            f"The node lacks these node types: {', '.join(missing)}.",
            code=refusal.code,
            raw={**raw, "missing": {"nodes": missing}},
        )

    def _read_ended(self, refs: Sequence[str]) -> dict[str, Report]:
        if len(refs) < 2:
            found = [self._read_end(ref) for ref in refs]
        else:
            with ThreadPoolExecutor(min(HISTORY_THREADS, len(refs))) as threads:
                found = list(threads.map(self._read_end, refs))
        return {report.ref: report for report in found if report is not None}

    def _read_end(self, ref: str) -> Report | None:
        """The final report; None when history has no entry. An entry that cannot be read holds up nobody else."""
        try:
            entry = self.node.read_history(ref)
        except ProviderUnintelligible as error:
            return Report(phase=Phase.RUNNING, ref=ref, code=error.code, message=error.message)
        return None if entry is None else read_entry(ref, entry)

    def _wait_for_end(self, ref: str) -> Report:
        deadline = time.monotonic() + CANCEL_WAIT_S
        while True:
            report = self.poll([ref]).get(ref)
            if report is None:
                return Report(phase=Phase.CANCELLED, ref=ref, message="The node no longer has this prompt.")
            if report.phase.is_final or time.monotonic() > deadline:
                return report
            time.sleep(0.1)

    def _is_stalled(self, queue: Queue) -> bool:
        """Whether prompts wait while nothing runs, for longer than the moment between two prompts."""
        if queue.running or not queue.pending:
            return False
        time.sleep(float(self.endpoint.options.get("stall_check_s") or 2.0))
        later = self.node.read_queue()
        return not later.running and queue.pending[0] in later.pending


def _queued_report(ref: str, place: int) -> Report:
    phase = Phase.ACCEPTED if place else Phase.RUNNING
    return Report(phase=phase, ref=ref, queue_position=place)


def _is_canonical_uuid(ref: str) -> bool:
    try:
        return str(uuid.UUID(ref)) == ref
    except ValueError:
        return False
