"""Runs all measurements on a PODI of its own and prints them. Nothing is left behind on the embedded default.

DATABASE_URL and REDIS_URL choose the grown set-up; the database must be empty.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench import measures
from tests.bench.measures import Bench, Extent
from tests.bench.programs import ROOT, Helper
from tests.bench.system import WORKERS, System
from tests.bench.table import Table

MEASURES = ("invoke", "costs", "list", "tasks", "open", "sharing", "history")


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun, table = time.monotonic(), Table()
    with ExitStack() as stack:
        bench = _start(stack, options, table)
        for name in options.only:
            if name == "history":
                old = System("history")
                stack.callback(old.end)
                old.processes.start("web")
                measures.measure_history(bench, old)
            elif name == "open":
                measures.measure_open_jobs(bench)
            else:
                getattr(measures, f"measure_{name}")(bench)
        table.head(f"{time.monotonic() - begun:.0f} s in all; {bench.system.complaints()} warnings in the logs")
    if table.missed:
        print(f"Missed here and now: {'; '.join(table.missed)}", flush=True)


def _start(stack: ExitStack, options: argparse.Namespace, table: Table) -> Bench:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podi-bench-")))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    load = Helper("tests.bench.load", env=env, log=folder / "load.log")
    stack.callback(load.end)
    node = Helper("tests.bench.node", env=env, log=folder / "node.log")
    stack.callback(node.end)
    system = System("main")
    stack.callback(system.end)
    system.processes.start("web", "worker", "poller")
    about = system.inside.ask(do="describe")
    load_now = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"PODI on {about['database']}, broker {about['broker']}; DEBUG {about['debug']}; "
        f"1 web process, {WORKERS} workers, 1 poller; {os.cpu_count()} cores, Python {platform.python_version()}\n"
        f"Load before: {load_now}. Clients and upstream share these cores. Medians of {options.rounds} alternating "
        "rounds [lowest .. highest].",
        flush=True,
    )
    extent = Extent(
        rounds=options.rounds,
        seconds=1.0 if options.quick else 2.5,
        tasks=60 if options.quick else 240,
        open_jobs=options.open_jobs or (300 if options.quick else 1000),
        watch_s=4.0 if options.quick else 12.0,
        rows=options.rows or (10_000 if options.quick else 100_000),
    )
    node_url = f"http://127.0.0.1:{node.read()['port']}"
    bench = Bench(system=system, load=load, node_url=node_url, table=table, extent=extent)
    bench.add_light_nodes()
    return bench


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of everything, about a minute")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each measurement (3)")
    parser.add_argument("--rows", type=int, default=0, help="finished tasks in the table (100000)")
    parser.add_argument("--open-jobs", type=int, default=0, help="open jobs of the poller (1000)")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="some measurements")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


if __name__ == "__main__":
    main()
