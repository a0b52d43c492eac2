"""What the bench does inside PODI's own code: prepare a data folder, count queries, seed rows, read what became of it.

Reads one JSON order per line, `{"do": name, ...}`, and answers one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from statistics import median
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "podi.settings")
import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Max, Min  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

from abilities import services as abilities  # noqa: E402
from abilities.models import Invocation, Task  # noqa: E402
from executors import services as executors  # noqa: E402
from executors.models import Executor  # noqa: E402
from podi.base import services as base  # noqa: E402
from podi.base.models import User  # noqa: E402
from tests.bench import costs, history, open_jobs  # noqa: E402
from tests.bench.graph import GRAPH  # noqa: E402

WORKFLOW_ID = "bench_workflow"
ABILITY_ID = "bench_picture"


def prepare() -> dict[str, str]:
    """Migrate an empty database and make two users with a token each. Refuses a database that is in use."""
    call_command("migrate", interactive=False, verbosity=0)
    if User.objects.exists():
        raise SystemExit("The bench fills its database with invented tasks: give it an empty one.")
    call_command("load_catalog", stdout=sys.stderr)
    operator = User.objects.create(username="bench-operator", is_staff=True, is_superuser=True)
    client = User.objects.create(username="bench-client")
    _, token = base.issue_token(operator, client, name="bench")
    _, staff_token = base.issue_token(operator, operator, name="bench", scopes=["admin", "tasks:read"])
    return {"token": token, "staff_token": staff_token}


def add_nodes(*, prefix: str, urls: list[str], concurrency: int) -> None:
    """Executors that point to these addresses; the ones added before are switched off."""
    operator = User.objects.get(username="bench-operator")
    Executor.objects.filter(type="comfyui").update(status="inactive")
    for index, url in enumerate(urls):
        values: executors.ExecutorChanges = {
            "name": f"{prefix} {index}",
            "type": "comfyui",
            "base_url": url,
            "status": "active",
            "max_concurrency": concurrency,
            "queue_limit": 100_000,
        }
        executors.create_executor(operator, values, executor_id=f"{prefix}_{index}")


def add_ability() -> str:
    """A graph without input pictures, and the ability that runs it."""
    operator = User.objects.get(username="bench-operator")
    workflow: executors.WorkflowChanges = {
        "action": "bench",
        "name": "bench",
        "version": "v1",
        "type": "comfyui",
        "status": "active",
        "definition": {"workflow_key": "bench", "graph": GRAPH},
        "metadata": {"output_node_ids": ["9"], "input_node_map": []},
    }
    executors.create_workflow(operator, workflow, workflow_id=WORKFLOW_ID)
    abilities.create_ability(
        operator,
        ability_id=ABILITY_ID,
        provider="comfyui",
        category="image_generation",
        capability_key="bench",
        display_name="Bench",
        ability_type="comfyui",
        status="active",
        workflow_id=WORKFLOW_ID,
        input_schema={"fields": []},
        metadata={"action": "bench", "outputs": {"images": 1}},
    )
    return ABILITY_ID


def count_open() -> int:
    return Task.objects.filter(state__in=[Task.State.QUEUED, Task.State.RUNNING]).count()


def read_ends(*, since: float) -> dict[str, Any]:
    """How the tasks ended that were created since then: states, the last end, and how they spread over executors."""
    moment = _moment(since)
    tasks = Task.objects.filter(created_at__gte=moment)
    ended = tasks.aggregate(first=Min("finished_at"), last=Max("finished_at"))
    states: dict[str, int] = {}
    per_executor: dict[str, int] = {}
    for state, executor_id in tasks.values_list("state", "executor_id"):
        states[state] = states.get(state, 0) + 1
        if executor_id:
            per_executor[executor_id] = per_executor.get(executor_id, 0) + 1
    return {
        "states": states,
        "per_executor": per_executor,
        "attempts": Invocation.objects.filter(created_at__gte=moment).count(),
        "last": ended["last"].timestamp() if ended["last"] else None,
    }


def check_writable() -> bool:
    """Whether nobody holds SQLite's one write lock right now."""
    if connection.vendor != "sqlite":
        return True
    import sqlite3

    other = sqlite3.connect(str(connection.settings_dict["NAME"]), timeout=0.1, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        other.close()
    return True


def time_page(*, path: str, times: int) -> float:
    """The median of some views of an admin page, in ms, by the test client as the operator."""
    latencies = []
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": _PLAIN_FILES}):
        client = Client(headers={"host": "localhost"})
        client.force_login(User.objects.get(username="bench-operator"))
        for _time in range(times + 1):  # the first compiles templates
            begun = time.perf_counter()
            answer = client.get(path)
            latencies.append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == 200, (path, answer.status_code)
    return median(latencies[1:])


_PLAIN_FILES = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}


def describe() -> dict[str, str]:
    broker = "Redis" if settings.REDIS_URL else "table"
    return {"database": connection.vendor, "broker": broker, "debug": str(settings.DEBUG)}


def _moment(seconds: float) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


DOINGS = {
    "prepare": prepare,
    "describe": describe,
    "add_nodes": add_nodes,
    "add_ability": add_ability,
    "count_open": count_open,
    "read_ends": read_ends,
    "time_page": time_page,
    "check_writable": check_writable,
    "call_directly": costs.call_directly,
    "count_costs": costs.count_costs,
    "seed_history": history.seed,
    "seed_open_jobs": open_jobs.seed,
    "read_delays": open_jobs.read_delays,
}


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = DOINGS[order.pop("do")](**order)  # type: ignore[operator]
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
