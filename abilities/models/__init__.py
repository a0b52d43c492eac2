"""What is offered, and every task asked for."""

from abilities.models.ability import Ability, AbilityVersion
from abilities.models.invocation import Invocation
from abilities.models.task import Task, TaskAsset

__all__ = ["Ability", "AbilityVersion", "Invocation", "Task", "TaskAsset"]
