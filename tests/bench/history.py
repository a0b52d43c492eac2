"""An old table: copies of one finished task with its invocation, event and file rows, made by the database itself."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection, transaction

from abilities.models import Invocation, Task, TaskAsset
from podi.events.models import Event, EventCounter

CHUNK = 20_000
SPREAD_S = 25
"""Seconds between one old task and the next: 100,000 of them reach back a month."""


def seed(*, rows: int) -> dict[str, Any]:
    """Copies the newest finished task until `rows` old ones exist. Returns how long it took."""
    begun = time.monotonic()
    model = Task.objects.filter(state=Task.State.SUCCEEDED).order_by("-created_at").first()
    assert model is not None, "finish a task first"
    invocation = Invocation.objects.get(task=model)
    events = Event.objects.filter(subject_id=model.pk).order_by("id")
    for start in range(0, rows, CHUNK):
        stop = min(rows, start + CHUNK)
        with transaction.atomic(), connection.cursor() as cursor:
            _fill_numbers(cursor, start, stop)
            seeded_id = _concat("'old-'", _text("n.n"))
            _copy(cursor, Task, model.pk, {"id": seeded_id, **_ages(model, Task)})
            owned = {"id": None, "task_id": seeded_id}
            _copy(cursor, Invocation, invocation.pk, {**owned, **_ages(invocation, Invocation)})
            for asset in TaskAsset.objects.filter(task=model):
                _copy(cursor, TaskAsset, asset.pk, owned)
            for event in events:
                ages = {"created_at": _ages(event, Event)["created_at"], "sequence": "NULL"}
                _copy(cursor, Event, event.pk, {"id": None, "subject_id": seeded_id, **ages})
    _number_events()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_numbers")
    return {"seconds": time.monotonic() - begun, "tasks": Task.objects.count(), "events": Event.objects.count()}


def _fill_numbers(cursor: Any, start: int, stop: int) -> None:
    cursor.execute("CREATE TABLE IF NOT EXISTS bench_numbers (n INTEGER PRIMARY KEY)")
    cursor.execute("DELETE FROM bench_numbers")
    cursor.executemany("INSERT INTO bench_numbers (n) VALUES (%s)", [(n,) for n in range(start, stop)])


def _copy(cursor: Any, model: Any, pk: Any, changed: dict[str, str | None]) -> None:
    """Insert one copy of the row per number; `changed` gives SQL for some columns, None leaves one out."""
    quote = connection.ops.quote_name
    columns = [field.column for field in model._meta.concrete_fields]
    columns = [name for name in columns if changed.get(name, "") is not None]
    values = [str(changed[name]) if name in changed else f"t.{quote(name)}" for name in columns]
    table = quote(model._meta.db_table)
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(map(quote, columns))}) "
        f"SELECT {', '.join(values)} FROM {table} t CROSS JOIN bench_numbers n WHERE t.{quote('id')} = %s",
        [pk],
    )


def _ages(row: Any, model: Any) -> dict[str, str | None]:
    """SQL that moves each moment of the row back by its number."""
    moments = [f for f in model._meta.concrete_fields if f.get_internal_type() == "DateTimeField"]
    return {field.column: _aged(field.column) for field in moments if getattr(row, field.attname) is not None}


def _aged(column: str) -> str:
    back = f"(n.n + 1) * {SPREAD_S}"
    if connection.vendor == "sqlite":
        return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', t.{column}, '-' || ({back}) || ' seconds')"
    return f"DATE_SUB(t.{column}, INTERVAL ({back}) SECOND)"


def _concat(left: str, right: str) -> str:
    return f"{left} || {right}" if connection.vendor == "sqlite" else f"CONCAT({left}, {right})"


def _text(sql: str) -> str:
    return f"CAST({sql} AS {'TEXT' if connection.vendor == 'sqlite' else 'CHAR'})"


def _number_events() -> None:
    """All of them at once, as the sequencer would have over the months."""
    with transaction.atomic(), connection.cursor() as cursor:
        last = EventCounter.objects.filter(id=1).values_list("value", flat=True).first() or 0
        cursor.execute("UPDATE events SET sequence = id + %s WHERE sequence IS NULL", [last])
        cursor.execute("SELECT MAX(sequence) FROM events")
        top = cursor.fetchone()[0]
        if not EventCounter.objects.filter(id=1).update(value=top):
            EventCounter.objects.create(id=1, value=top)
