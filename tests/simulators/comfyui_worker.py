"""Queue, history and the one worker of the simulated ComfyUI. Runs graphs for real, one at a time."""

from __future__ import annotations

import hashlib
import heapq
import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Protocol

from tests.simulators.comfyui_nodes import Interrupted, Job, run_node

Item = tuple[Any, ...]
"""(number, prompt id, graph, extra_data, output nodes): compared as a tuple, as on a real server."""


class Speaker(Protocol):
    """Where frames go: to the socket of one client id, or with None to all."""

    def send(self, kind: str, data: dict[str, Any], client_id: Any) -> None: ...


class Worker:
    """One server's memory and its worker thread. `stop` forgets all of it, as the end of a process does."""

    def __init__(self, folder: Path, speaker: Speaker, *, is_new: bool, seconds_per_job: float = 0.0) -> None:
        self.folder = folder
        self.speaker = speaker
        self.is_new = is_new
        self.seconds_per_job = seconds_per_job
        self.durations: deque[float] = deque()
        """Seconds for the next jobs, one each, before `seconds_per_job` counts again."""
        self.holds_jobs = False
        """Every job stays where it starts until it is in `released`; one in `failing` then ends in an error."""
        self.released: set[str] = set()
        self.failing: set[str] = set()
        self.history_lag_s = 0.0
        self.is_paralysed = False
        self.crashed = threading.Event()
        self.pending: list[Item] = []
        self.running: dict[int, Item] = {}
        self.history: dict[str, dict[str, Any]] = {}
        self.executed_ids: list[str] = []
        self.current_client: Any = None
        self.current_node: str | None = None
        self._number = 0
        self._tasks = 0
        self._cache: dict[str, tuple[tuple[Any, ...], dict[str, Any] | None]] = {}
        self._interrupt = threading.Event()
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._is_stopping = False
        self._thread = threading.Thread(target=self._loop, name="comfyui-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._interrupt.set()
        with self._wake:
            self._wake.notify_all()
        self._thread.join(5)

    def next_number(self) -> int:
        with self._lock:
            self._number += 1
            return self._number - 1

    def put(self, item: Item) -> None:
        """Queues an item. Raises TypeError after queueing when id and number are those of a waiting one."""
        with self._wake:
            self._announce(extra=1)
            heapq.heappush(self.pending, item)
            self._wake.notify()

    def remaining(self) -> int:
        with self._lock:
            return len(self.pending) + len(self.running)

    def snapshot(self) -> tuple[list[Item], list[Item]]:
        with self._lock:
            return list(self.running.values()), list(self.pending)

    def delete_pending(self, prompt_id: Any) -> None:
        """Removes one waiting item with this id; unknown ids change nothing."""
        with self._wake:
            for index, item in enumerate(self.pending):
                if item[1] == prompt_id:
                    self.pending.pop(index)
                    heapq.heapify(self.pending)
                    self._announce()
                    return

    def clear_pending(self) -> None:
        with self._wake:
            self.pending = []
            self._announce()

    def interrupt(self, prompt_id: Any) -> None:
        """Interrupts the running item if it has this id; with None whatever runs."""
        with self._lock:
            if any(prompt_id in (None, item[1]) for item in self.running.values()):
                self._interrupt.set()

    def free(self) -> None:
        self._cache = {}

    def _announce(self, extra: int = 0) -> None:
        remaining = self.remaining() + extra
        self.speaker.send("status", {"status": {"exec_info": {"queue_remaining": remaining}}}, None)

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._is_stopping and (not self.pending or self.is_paralysed):
                    self._wake.wait(0.1)
                if self._is_stopping:
                    return
                try:
                    item = heapq.heappop(self.pending)
                except TypeError:
                    return  # the real worker thread dies of this too, and HTTP goes on answering
                self._tasks += 1
                task = self._tasks
                self.running[task] = item
                self._announce()
            entry = self._run(item)
            if entry is None:
                return
            if self.history_lag_s:
                time.sleep(self.history_lag_s)
            with self._lock:
                self.running.pop(task)
                self.history[item[1]] = entry
                self.executed_ids.append(item[1])
            self._announce()
            if self.current_client is not None:
                self.speaker.send("executing", {"node": None, "prompt_id": item[1]}, self.current_client)
            self.current_client = self.current_node = None

    def _run(self, item: Item) -> dict[str, Any] | None:
        _number, prompt_id, graph, extra, outputs = item
        if isinstance(extra.get("client_id"), dict | list):
            self.crashed.set()  # such a client id ends a real server's process
            return None
        self.current_client = extra.get("client_id")
        self._interrupt.clear()
        run = _Run(self, prompt_id, graph, extra)
        try:
            run.execute(outputs, self._cache, self._next_duration())
        except SystemExit:
            self.crashed.set()
            return None
        if self._is_stopping:
            return None
        self._cache = run.cache
        return {
            "prompt": list(item),
            "outputs": run.shown,
            "status": {"status_str": run.status, "completed": run.status == "success", "messages": run.messages},
            "meta": {
                node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
                for node in run.shown
            },
        }

    def _next_duration(self) -> float:
        return self.durations.popleft() if self.durations else self.seconds_per_job

    def check_interrupt(self) -> None:
        if self._interrupt.is_set():
            raise Interrupted

    def wait_for_release(self, prompt_id: str) -> None:
        while self.holds_jobs and prompt_id not in self.released:
            self.check_interrupt()
            time.sleep(0.005)
        if prompt_id in self.failing:
            raise ValueError("deliberate failure")


class _Run:
    """One execution of one graph."""

    def __init__(self, worker: Worker, prompt_id: str, graph: dict[str, Any], extra: dict[str, Any]) -> None:
        self.worker = worker
        self.prompt_id = prompt_id
        self.graph = graph
        self.client = extra.get("client_id")
        self.job = Job(worker.folder, graph, extra, self._report)
        self.results: dict[str, tuple[Any, ...]] = {}
        self.shown: dict[str, Any] = {}
        self.messages: list[Any] = []
        self.status = "success"
        self.cache: dict[str, tuple[tuple[Any, ...], dict[str, Any] | None]] = {}
        self._signatures: dict[str, str] = {}
        self._states: dict[str, Any] = {}
        self._ran: list[str] = []

    def execute(self, outputs: list[str], cache: dict[str, Any], seconds: float) -> None:
        self._tell("execution_start", {})
        needed = self._order(outputs)
        cached = [node for node in needed if self._sign(node) in cache]
        self._tell("execution_cached", {"nodes": cached})
        for node in cached:
            self._use_cached(node, cache[self._sign(node)])
        node = needed[0]
        try:
            self._sleep(seconds)
            self.worker.wait_for_release(self.prompt_id)
            for node in needed:
                if node not in self.results:
                    self.worker.check_interrupt()
                    self._run_node(node)
            self._tell("execution_success", {})
        except Interrupted:
            self.status = "error"
            self._tell("execution_interrupted", {**self._place(node), "executed": list(self._ran)})
        except Exception as error:  # a node pack may raise anything
            self.status = "error"
            self._tell("execution_error", self._describe(node, error))

    def _order(self, outputs: list[str]) -> list[str]:
        order: dict[str, None] = {}

        def visit(node_id: str) -> None:
            for value in self.graph[node_id]["inputs"].values():
                if isinstance(value, list) and value[0] not in order:
                    visit(value[0])
            order[node_id] = None

        for output in outputs:
            visit(output)
        return list(order)

    def _sign(self, node_id: str) -> str:
        """What decides whether a node is run again: its type, inputs, all before it, and a loaded file's content."""
        if node_id not in self._signatures:
            node = self.graph[node_id]
            inputs = {
                key: [self._sign(value[0]), value[1]] if isinstance(value, list) else value
                for key, value in node["inputs"].items()
            }
            content = ""
            if node["class_type"].startswith("LoadImage"):
                path = self.job.path_of(node["inputs"]["image"])
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            text = json.dumps([node["class_type"], inputs, content], sort_keys=True)
            self._signatures[node_id] = hashlib.sha256(text.encode()).hexdigest()
        return self._signatures[node_id]

    def _use_cached(self, node: str, found: tuple[tuple[Any, ...], dict[str, Any] | None]) -> None:
        self.results[node], shown = found
        self.cache[self._sign(node)] = found
        # 0.25 lists cached outputs only when the prompt came with a client id.
        if shown is not None and (self.client is not None or not self.worker.is_new):
            self.shown[node] = shown
            self._send("executed", {"node": node, "display_node": node, "output": shown, "prompt_id": self.prompt_id})

    def _run_node(self, node: str) -> None:
        self.job.node_id = self.worker.current_node = node
        self._state(node, 0.0, 1.0, "running")
        self._send("executing", {"node": node, "display_node": node, "prompt_id": self.prompt_id})
        values = {
            key: self.results[value[0]][value[1]] if isinstance(value, list) else value
            for key, value in self.graph[node]["inputs"].items()
        }
        class_type = self.graph[node]["class_type"]
        results, shown = run_node(self.job, class_type, values)
        self.results[node] = results
        self.cache[self._sign(node)] = (results, shown)
        self._ran.append(node)
        if shown is not None:
            self.shown[node] = shown
            self._send("executed", {"node": node, "display_node": node, "output": shown, "prompt_id": self.prompt_id})
        self._state(node, 1.0, 1.0, "finished")

    def _sleep(self, seconds: float) -> None:
        """The scripted duration of the job, in steps in which an interrupt is noticed."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            self.worker.check_interrupt()
            time.sleep(min(0.05, left))

    def _report(self, value: int, maximum: int) -> None:
        node = self.job.node_id
        self._state(node, value, maximum, "running")
        progress = {"value": value, "max": maximum, "prompt_id": self.prompt_id, "node": node}
        self.worker.speaker.send("progress", progress, self.client)
        self.worker.check_interrupt()

    def _state(self, node: str, value: float, maximum: float, state: str) -> None:
        self._states[node] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node,
            "prompt_id": self.prompt_id,
            "display_node_id": node,
            "parent_node_id": None,
            "real_node_id": node,
        }
        frame = {"prompt_id": self.prompt_id, "nodes": {key: dict(state) for key, state in self._states.items()}}
        self.worker.speaker.send("progress_state", frame, self.client)

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        body = {**data, "prompt_id": self.prompt_id, "timestamp": int(time.time() * 1000)}
        self.messages.append([kind, body])
        self._send(kind, body)

    def _send(self, kind: str, data: dict[str, Any]) -> None:
        # Only progress frames of a prompt without a client id go to everybody; these go to nobody then.
        if self.client is not None:
            self.worker.speaker.send(kind, data, self.client)

    def _place(self, node: str) -> dict[str, Any]:
        return {"node_id": node, "node_type": self.graph[node]["class_type"]}

    def _describe(self, node: str, error: Exception) -> dict[str, Any]:
        module = type(error).__module__
        name = type(error).__name__
        message = f"{error}\n"
        if name == "OutOfMemoryError":
            message += "This error means you ran out of memory on your GPU.\n\nTIPS: Lower the batch_size."
        return {
            **self._place(node),
            "executed": list(self._ran),
            "exception_message": message,
            "exception_type": name if module == "builtins" else f"{module}.{name}",
            "traceback": [f'  File "{self.worker.folder}/execution.py", line 1, in execute\n'],
            "current_inputs": {key: [str(value)] for key, value in self.graph[node]["inputs"].items()},
            "current_outputs": list(self.graph),
        }
