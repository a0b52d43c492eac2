"""What operators see and do with abilities, tasks and the call log."""

from abilities.admin.abilities import AbilityAdmin
from abilities.admin.invocations import InvocationAdmin
from abilities.admin.tasks import TaskAdmin

__all__ = ["AbilityAdmin", "InvocationAdmin", "TaskAdmin"]
