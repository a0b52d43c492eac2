"""What people and doors ask of abilities and tasks."""

from abilities.services.abilities import (
    active_abilities,
    create_ability,
    delete_ability,
    find_ability,
    update_ability,
)
from abilities.services.admission import Call, Prepared, prepare
from abilities.services.catalog import LoadReport, load_catalog, read_catalog
from abilities.services.log import (
    LogFilter,
    find_invocations,
    log_items,
    log_metrics,
    resolve_invocation,
)
from abilities.services.statistics import Slice, Today, calls_over_time, today, with_recent_calls
from abilities.services.tasks import (
    Created,
    Once,
    cancel_task,
    create_task,
    find_task,
    log_id_of,
    queue_place,
    repeated_task,
    retry_task,
    tasks_of,
)

__all__ = [
    "Call",
    "Created",
    "LoadReport",
    "LogFilter",
    "Once",
    "Prepared",
    "Slice",
    "Today",
    "active_abilities",
    "calls_over_time",
    "cancel_task",
    "create_ability",
    "create_task",
    "delete_ability",
    "find_ability",
    "find_invocations",
    "find_task",
    "load_catalog",
    "log_id_of",
    "log_items",
    "log_metrics",
    "prepare",
    "queue_place",
    "read_catalog",
    "repeated_task",
    "resolve_invocation",
    "retry_task",
    "tasks_of",
    "today",
    "update_ability",
    "with_recent_calls",
]
