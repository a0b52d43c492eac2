"""The measurements, each of which prints its lines. Rounds of what is compared alternate; medians are printed."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.graph import GRAPH
from tests.bench.pictures import tiny_png
from tests.bench.programs import Helper
from tests.bench.system import System
from tests.bench.table import Table, mid, share, spread

INVOKED = "podi_print_readiness"
CALLERS = (1, 16, 64)
NODES = 8
BACKGROUND = ("worker", "poller")
LITELLM_MS = 27.0
"""Own overhead of LiteLLM's proxy without a database at one caller, measured elsewhere: docs/benchmarks.md."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured."""

    rounds: int
    seconds: float
    tasks: int
    open_jobs: int
    watch_s: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every measurement works with."""

    system: System
    load: Helper
    node_url: str
    table: Table
    extent: Extent

    def call(
        self, method: str, path: str, *, callers: int, body: Any = None, system: System | None = None, **more: Any
    ) -> dict[str, Any]:
        """Load on one page; every answer must be a success."""
        target = system or self.system
        headers = {**target.headers(staff=more.pop("staff", False)), **more.pop("headers", {})}
        used_s = target.processes.cpu_s("web")
        found: dict[str, Any] = self.load.ask(
            method=method, url=f"{target.processes.url}{path}", headers=headers, body=body, callers=callers, **more
        )
        found["cpu_ms"] = (target.processes.cpu_s("web") - used_s) / found["count"] * 1000
        if any(not status.startswith(("2", "304")) for status in found["statuses"]):
            raise RuntimeError(f"{method} {path} answered {found['statuses']}\n{target.logs()}")
        return found

    def tell_node(self, page: str, body: Any) -> None:
        request = urllib.request.Request(f"{self.node_url}/_bench/{page}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30):
            pass

    def add_light_nodes(self) -> None:
        """So many that the upstream is never the limit."""
        urls = [f"{self.node_url}/n{index}" for index in range(NODES)]
        self.system.inside.ask(do="add_nodes", prefix="light", urls=urls, concurrency=100)


def measure_invoke(bench: Bench) -> None:
    """Sync invoke of an image tool on a tiny picture, against the same provider called directly."""
    path, body = f"/api/abilities/{INVOKED}/invoke", {"imageBase64": base64.b64encode(tiny_png()).decode()}
    bench.call("POST", path, callers=4, body=body, total=40)
    direct: list[dict[str, float]] = []
    rounds: dict[int, list[dict[str, Any]]] = {callers: [] for callers in CALLERS}
    for _round in range(bench.extent.rounds):
        direct.append(bench.system.inside.ask(do="call_directly", seconds=bench.extent.seconds / 3))
        for callers in CALLERS:
            rounds[callers].append(bench.call("POST", path, callers=callers, body=body, seconds=bench.extent.seconds))
    table = bench.table
    table.head(f"Sync invoke of {INVOKED}, the provider answers at once")
    alone_ms = mid([found["p50_ms"] for found in direct])
    table.line("provider called directly, one thread: p50", spread([f["p50_ms"] for f in direct], " ms", 2))
    table.line("provider called directly, one thread: calls/s", spread([f["rps"] for f in direct], "", 0))
    own = {share: [found[f"{share}_ms"] - alone_ms for found in rounds[1]] for share in ("p50", "p95")}
    table.line(
        "own overhead, 1 caller: p50",
        f"{spread(own['p50'], ' ms')}  ({mid(own['p50']) / LITELLM_MS:.2f} of LiteLLM's {LITELLM_MS:.0f} ms)",
        target="10 ms",
        met=mid(own["p50"]) <= 10,
    )
    table.line("own overhead, 1 caller: p95", spread(own["p95"], " ms"))
    for callers in CALLERS:
        rates = [found["rps"] for found in rounds[callers]]
        ratio = mid([found["rps"] for found in direct]) / mid(rates)
        p50 = mid([found["p50_ms"] for found in rounds[callers]])
        cpu_ms = mid([found["cpu_ms"] for found in rounds[callers]])
        text = f"{spread(rates, ' calls/s', 0)}  direct/this {ratio:.0f}  p50 {p50:.0f} ms  CPU {cpu_ms:.1f} ms a call"
        name = f"throughput of one web process, {callers} callers"
        if callers == 16:
            table.line(name, text, target="100/s", met=mid(rates) >= 100)
        else:
            table.line(name, text)


def measure_costs(bench: Bench) -> None:
    found = bench.system.inside.ask(do="count_costs", token=bench.system.token, ability_id=bench.system.ability_id)
    bench.table.head("Statements per call, counted")
    for name, cost in found.items():
        beside = cost["queries"] - cost["of_picture"]
        text = f"{beside} queries in {cost['transactions']} transactions"
        text += f", and {cost['of_picture']} for its picture" if cost["of_picture"] else ""
        if name == "sync invoke":
            bench.table.line(name, text, target="8 in 3", met=beside <= 8 and cost["transactions"] <= 3)
        else:
            bench.table.line(name, text)


def measure_list(bench: Bench) -> None:
    """The ability list, whole and as 304."""
    with urllib.request.urlopen(f"{bench.system.processes.url}/api/abilities", timeout=10) as answer:
        etag, items = answer.headers["ETag"], len(json.load(answer)["items"])
    whole: list[float] = []
    unchanged: list[float] = []
    for _round in range(bench.extent.rounds):
        more = {"callers": 16, "seconds": bench.extent.seconds / 2}
        whole.append(bench.call("GET", "/api/abilities", **more)["rps"])
        unchanged.append(bench.call("GET", "/api/abilities", headers={"If-None-Match": etag}, **more)["rps"])
    bench.table.head(f"Ability list, {items} abilities, 16 callers")
    target = {"target": "10 x 38/s", "met": mid(unchanged) >= 380}
    bench.table.line("whole list", spread(whole, "/s", 0))
    bench.table.line("unchanged (If-None-Match, 304)", spread(unchanged, "/s", 0), **target)


def measure_tasks(bench: Bench) -> None:
    """Submit while worker and poller stand still, then let them go and see how fast the queue empties."""
    kinds = {"own image tool": None, "upstream 0 ms": 0.0, "upstream 500 ms": 0.5}
    submits: dict[int, list[float]] = {1: [], 16: []}
    drains: dict[str, list[Drain]] = {kind: [] for kind in kinds}
    for _round in range(bench.extent.rounds):
        for kind, seconds in kinds.items():
            if seconds is not None:
                bench.tell_node("settings", {"seconds": seconds})
            rates, drained = _submit_and_drain(bench, uses_node=seconds is not None)
            drains[kind].append(drained)
            if seconds is not None:
                for callers, rate in rates.items():
                    submits[callers].append(rate)
    bench.table.head(f"Tasks, {bench.extent.tasks} at a time; 1 web process, 2 workers, 1 poller, {NODES} nodes")
    bench.table.line("submit, 1 caller", spread(submits[1], "/s", 0), target="5 x 19/s", met=mid(submits[1]) >= 95)
    bench.table.line("submit, 16 callers", spread(submits[16], "/s", 0), target="5 x 34/s", met=mid(submits[16]) >= 170)
    for kind, found in drains.items():
        rates = [drain.rate for drain in found]
        target: dict[str, Any] = {"target": "100/s", "met": mid(rates) >= 100} if kind == "upstream 500 ms" else {}
        used = ", ".join(f"{name} {mid([drain.cpu_ms[name] for drain in found]):.1f}" for name in BACKGROUND)
        bench.table.line(f"drain, {kind}", f"{spread(rates, '/s', 0)}  CPU ms a task: {used}", **target)


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Tasks ended per second, and the processor time each took in worker and poller."""

    rate: float
    cpu_ms: dict[str, float]


def _submit_and_drain(bench: Bench, *, uses_node: bool) -> tuple[dict[int, float], Drain]:
    system = bench.system
    body: dict[str, Any] = {"abilityId": system.ability_id}
    if not uses_node:
        body = {"abilityId": INVOKED, "imageBase64": base64.b64encode(tiny_png()).decode()}
    system.pause_background()
    since = time.time()
    try:
        rates = {
            callers: bench.call("POST", "/api/ability-tasks", callers=callers, body=body, total=total)["rps"]
            for callers, total in ((1, bench.extent.tasks // 4), (16, bench.extent.tasks - bench.extent.tasks // 4))
        }
    finally:
        used_s = {name: system.processes.cpu_s(name) for name in BACKGROUND}
        begun = time.time()
        system.processes.resume(*BACKGROUND)
    system.wait_until_done()
    cpu_ms = {name: (system.processes.cpu_s(name) - used_s[name]) / bench.extent.tasks * 1000 for name in BACKGROUND}
    ends = system.inside.ask(do="read_ends", since=since)
    if ends["states"] != {"succeeded": bench.extent.tasks}:
        raise RuntimeError(f"tasks ended as {ends}\n{system.logs()}")
    return rates, Drain(rate=bench.extent.tasks / (ends["last"] - begun), cpu_ms=cpu_ms)


def measure_open_jobs(bench: Bench) -> None:
    """One poller over many open jobs: how late it notices the end of those that end."""
    extent, system = bench.extent, bench.system
    nodes, per_node = 2, extent.open_jobs // 2
    urls = [f"{bench.node_url}/held{index}" for index in range(nodes)]
    system.inside.ask(do="add_nodes", prefix="held", urls=urls, concurrency=100_000)
    system.pause_background()
    try:
        ids = [f"held_{index}" for index in range(nodes)]
        refs = system.inside.ask(
            do="seed_open_jobs", ability_id=system.ability_id, executor_ids=ids, per_executor=per_node
        )
        ends = _plan_ends(refs, begin=time.time() + 3, seconds=extent.watch_s)
        for index, executor_id in enumerate(ids):
            jobs = {ref: ends.get(ref) for ref in refs[executor_id]}
            bench.tell_node("adopt", {"node": f"held{index}", "jobs": jobs, **_sent()})
    finally:
        system.processes.resume("worker", "poller")
    time.sleep(max(0.0, max(ends.values()) - time.time()) + 4)
    found = system.inside.ask(do="read_delays", ends=ends)
    for index, executor_id in enumerate(ids):  # let the rest end too
        jobs = {ref: 0.0 for ref in refs[executor_id] if ref not in ends}
        bench.tell_node("adopt", {"node": f"held{index}", "jobs": jobs, **_sent()})
    noticed, stored = found["noticed"], found["stored"]
    bench.table.head(f"{extent.open_jobs} open provider jobs on {nodes} nodes, one poller; {len(ends)} of them end")
    bench.table.line("noticed", f"{len(noticed)} of {found['expected']}", target="all", met=len(noticed) == len(ends))
    mean_s, p99_s = sum(noticed) / max(1, len(noticed)), share(noticed, 0.99)
    text = f"mean {mean_s:.2f} s  p95 {share(noticed, 0.95):.2f} s  p99 {p99_s:.2f} s  worst {share(noticed, 1):.2f} s"
    bench.table.line("end at the node until noticed", text, target="1 s, p99 2 s", met=mean_s <= 1 and p99_s <= 2)
    mean_s = sum(stored) / max(1, len(stored))
    bench.table.line("end at the node until stored", f"mean {mean_s:.2f} s  p99 {share(stored, 0.99):.2f} s")
    begun = time.time()
    done = system.wait_until_done()
    rest, took_s = extent.open_jobs - len(ends), time.time() - begun
    bench.table.line(
        "all others end at the same moment: stored", f"{rest / took_s:.0f}/s" if done else "not within two minutes"
    )


def _plan_ends(refs: dict[str, list[str]], *, begin: float, seconds: float) -> dict[str, float]:
    """A fifth of the jobs ends, evenly spread over the time, on every node in turn."""
    chosen = [ref for group in refs.values() for ref in group[::5]]
    return {ref: begin + seconds * index / len(chosen) for index, ref in enumerate(sorted(chosen))}


def _sent() -> dict[str, Any]:
    return {"graph": GRAPH, "extra": {"client_id": "podi-bench", "podi": {"output_node_ids": ["9"]}}}


def measure_sharing(bench: Bench) -> None:
    """Twelve tasks on two real simulators, then on one of them and one address where nobody listens."""
    from tests.simulators.comfyui import ComfyUISimulator

    bench.table.head("Twelve tasks, simulated ComfyUI nodes")
    with ComfyUISimulator(seconds_per_job=0.2) as first, ComfyUISimulator(seconds_per_job=0.2) as second:
        shared = _twelve(bench, "even", [first.url, second.url])
        sent = sorted([len(first.requests_to("POST", "/prompt")), len(second.requests_to("POST", "/prompt"))])
        is_even = sent in ([6, 6], [5, 7]) and shared["states"] == {"succeeded": 12}
        bench.table.line("two equal nodes: prompts each", f"{sent[0]} and {sent[1]}", target="6 and 6", met=is_even)
        broken = _twelve(bench, "half", [first.url, "http://127.0.0.1:9"])
        failed = 12 - broken["states"].get("succeeded", 0)
        text = f"{failed} failed, {broken['attempts']} attempts"
        bench.table.line("one dead node of two", text, target="0 failed", met=failed == 0)


def _twelve(bench: Bench, prefix: str, urls: Sequence[str]) -> dict[str, Any]:
    system = bench.system
    system.inside.ask(do="add_nodes", prefix=prefix, urls=list(urls), concurrency=1)
    since = time.time()
    bench.call("POST", "/api/ability-tasks", callers=4, body={"abilityId": system.ability_id}, total=12)
    system.wait_until_done()
    found: dict[str, Any] = system.inside.ask(do="read_ends", since=since)
    return found


def measure_history(bench: Bench, old: System) -> None:
    """The same calls on an almost empty table and on one full of finished tasks, in turns."""
    body = {"abilityId": INVOKED, "imageBase64": base64.b64encode(tiny_png()).decode()}
    path = f"/api/abilities/{INVOKED}/invoke"
    bench.call("POST", path, callers=1, body=body, total=5, system=old)
    seeded = old.inside.ask(do="seed_history", rows=bench.extent.rows)
    bench.table.head(f"{seeded['tasks']} finished tasks and {seeded['events']} events in the table, against few")
    bench.table.line("(seeding took)", f"{seeded['seconds']:.0f} s")
    bench.system.pause_background()
    try:
        _compare(bench, old, "submit, 1 caller", "POST", "/api/ability-tasks", body, target=True)
        _compare(bench, old, "sync invoke, 1 caller", "POST", path, body, target=True)
        for name, page, staff in _PAGES:
            _compare(bench, old, name, "GET", page, None, staff=staff)
        for name, page in _ADMIN_PAGES:
            _compare_page(bench, old, name, page)
    finally:
        bench.system.processes.resume("worker", "poller")


_PAGES = (
    ("one's tasks", "/api/ability-tasks?limit=20", False),
    ("all tasks", "/api/ability-tasks?limit=20", True),
    ("call log, newest", "/api/admin/abilities/logs?limit=20", True),
    ("call log of one ability", f"/api/admin/abilities/{INVOKED}/logs?limit=20", True),
    ("call metrics of 24 hours", "/api/admin/abilities/logs/metrics", True),
    ("call metrics of 30 days", "/api/admin/abilities/logs/metrics?windowHours=720", True),
)


_ADMIN_PAGES = (
    ("admin: first page", "/admin/"),
    ("admin: list of tasks", "/admin/abilities/task/"),
    ("admin: call log", "/admin/abilities/invocation/"),
)


def _compare_page(bench: Bench, old: System, name: str, path: str) -> None:
    few = [bench.system.inside.ask(do="time_page", path=path, times=3) for _ in range(bench.extent.rounds)]
    many = [old.inside.ask(do="time_page", path=path, times=3) for _ in range(bench.extent.rounds)]
    bench.table.line(name, f"{mid(few):.0f} ms becomes {mid(many):.0f} ms  (x {mid(many) / mid(few):.2f})")


def _compare(
    bench: Bench,
    old: System,
    name: str,
    method: str,
    path: str,
    body: Any,
    *,
    staff: bool = False,
    target: bool = False,
) -> None:
    few, many = [], []
    total = 60 if method == "POST" else 12
    for _round in range(bench.extent.rounds + 2 if target else bench.extent.rounds):
        for system, found in ((bench.system, few), (old, many)):
            answer = bench.call(method, path, callers=1, body=body, system=system, staff=staff, total=total)
            found.append(answer["p50_ms"])
    ratio = mid(many) / mid(few)
    text = f"{mid(few):.1f} ms becomes {mid(many):.1f} ms  (x {ratio:.2f})"
    if target:
        bench.table.line(name, text, target="within 20 %", met=ratio <= 1.2)
    else:
        bench.table.line(name, text)
