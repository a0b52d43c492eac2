"""What people and doors ask of abilities and tasks."""

from abilities.inputs import coerce, option_values
from abilities.listing import ability_item
from abilities.results import invoke_response, public_id
from abilities.schema import fields_of
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
    log_ids_of,
    queue_place,
    repeated_task,
    retry_task,
    tasks_of,
)
from abilities.services.waiting import in_thread, wait_for_end

__all__ = [
    "Call",
    "Created",
    "LoadReport",
    "LogFilter",
    "Once",
    "Prepared",
    "Slice",
    "Today",
    "ability_item",
    "active_abilities",
    "calls_over_time",
    "cancel_task",
    "coerce",
    "create_ability",
    "create_task",
    "delete_ability",
    "fields_of",
    "find_ability",
    "find_invocations",
    "find_task",
    "in_thread",
    "invoke_response",
    "load_catalog",
    "log_id_of",
    "log_ids_of",
    "log_items",
    "log_metrics",
    "option_values",
    "prepare",
    "public_id",
    "queue_place",
    "read_catalog",
    "repeated_task",
    "resolve_invocation",
    "retry_task",
    "tasks_of",
    "today",
    "update_ability",
    "wait_for_end",
    "with_recent_calls",
]
