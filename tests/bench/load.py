"""The load generator, a process of its own so that it shares no interpreter with what it measures.

Reads one JSON order per line: {url, method, headers, body, callers, seconds | total}. Keep-alive connections, one per
caller; every caller sends its next call when its last was answered. Answers one JSON line per order.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import aiohttp


async def run(order: dict[str, Any]) -> dict[str, Any]:
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    left = order.get("total", sys.maxsize)
    body = order.get("body")
    content = None if body is None else json.dumps(body).encode()
    headers = {**order.get("headers", {}), **({"Content-Type": "application/json"} if content else {})}

    async def call_on(session: aiohttp.ClientSession, until: float) -> None:
        nonlocal left
        while left > 0 and time.perf_counter() < until:
            left -= 1
            begun = time.perf_counter()
            try:
                async with session.request(order["method"], order["url"], data=content, headers=headers) as answer:
                    text = await answer.read()
                    statuses[str(answer.status)] += 1
                    if answer.status >= 400 and len(statuses) < 4:
                        statuses[text[:200].decode(errors="replace")] += 1
            except aiohttp.ClientError as error:
                statuses[type(error).__name__] += 1
            latencies.append(time.perf_counter() - begun)

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        begun = time.perf_counter()
        until = begun + order.get("seconds", 600)
        await asyncio.gather(*(call_on(session, until) for _ in range(order["callers"])))
        seconds = time.perf_counter() - begun
    latencies.sort()
    return {
        "count": len(latencies),
        "seconds": seconds,
        "rps": len(latencies) / seconds,
        "p50_ms": _percentile(latencies, 0.5),
        "p95_ms": _percentile(latencies, 0.95),
        "statuses": dict(statuses),
    }


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[int((len(ordered) - 1) * share)] * 1000 if ordered else 0.0


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asyncio.run(run(json.loads(line)))), flush=True)
