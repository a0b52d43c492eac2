"""The machines' progress of a task: dispatch, send, accept what the provider says, store, recover.

Each step may be the last before the process dies. What must be known is written before the step, and whoever finds a
step unfinished later knows from the row what is safe to do.
"""

from abilities.runner.accept import accept
from abilities.runner.cancel import cancel
from abilities.runner.collect import collect
from abilities.runner.dispatch import dispatch
from abilities.runner.polling import Polling
from abilities.runner.recover import open_tasks_among, sweep
from abilities.runner.send import run
from abilities.runner.watching import Watching

__all__ = ["Polling", "Watching", "accept", "cancel", "collect", "dispatch", "open_tasks_among", "run", "sweep"]
