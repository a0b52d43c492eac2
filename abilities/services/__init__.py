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
    "Once",
    "Prepared",
    "active_abilities",
    "cancel_task",
    "create_ability",
    "create_task",
    "delete_ability",
    "find_ability",
    "find_task",
    "load_catalog",
    "log_id_of",
    "prepare",
    "queue_place",
    "read_catalog",
    "repeated_task",
    "retry_task",
    "tasks_of",
    "update_ability",
]
