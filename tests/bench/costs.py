"""The provider called directly, and what one call costs in queries and transactions: counted, not estimated."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from typing import Any

from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from abilities.api.abilities import AbilityListView, InvokeView
from abilities.api.tasks import TaskListView
from executors.providers.base import Endpoint, InputFile, Order
from executors.providers.podi import PodiProvider
from tests.bench.pictures import tiny_png

INVOKED = "podi_print_readiness"
_PICTURE_TABLES = ('"media_objects"', "`media_objects`", '"task_assets"', "`task_assets`")


def call_directly(*, seconds: float) -> dict[str, float]:
    """The same picture through the same provider, in a loop on one thread, with nothing of PODI around it."""
    provider = PodiProvider(Endpoint(kind="podi"))
    data = tiny_png()
    file = InputFile(
        field="image_url",
        name="tiny.png",
        content_type="image/png",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        open=lambda: io.BytesIO(data),
    )
    order = Order(task_id="bench", operation="print_readiness", params={}, files=(file,))
    latencies = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        provider.submit(order)
        latencies.append(time.perf_counter() - begun)
    latencies.sort()
    return {
        "rps": len(latencies) / sum(latencies),
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p95_ms": latencies[int(len(latencies) * 0.95)] * 1000,
    }


def count_costs(*, token: str, ability_id: str) -> dict[str, dict[str, int]]:
    """Queries and transactions of the second call of each kind, by the views themselves in this thread."""
    picture = base64.b64encode(tiny_png()).decode()
    calls = {
        "sync invoke": lambda: InvokeView.as_view()(_post({"imageBase64": picture}, token), ability_id=INVOKED),
        "task submit": lambda: TaskListView.as_view()(_post({"abilityId": ability_id}, token)),
        "ability list": lambda: AbilityListView.as_view()(RequestFactory().get("/api/abilities")),
    }
    found = {}
    for name, call in calls.items():
        call()
        with CaptureQueriesContext(connection) as captured:
            response = call()
        assert response.status_code == 200, response.data
        statements = [query["sql"] for query in captured.captured_queries]
        work = [sql for sql in statements if not sql.startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))]
        of_picture = [sql for sql in work if any(table in sql for table in _PICTURE_TABLES)]
        begun = sum(sql.startswith("BEGIN") for sql in statements)
        found[name] = {"queries": len(work), "of_picture": len(of_picture), "transactions": begun}
    return found


def _post(body: dict[str, Any], token: str) -> Any:
    return RequestFactory().post(
        "/", json.dumps(body), content_type="application/json", headers={"authorization": f"Bearer {token}"}
    )
