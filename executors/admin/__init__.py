"""The admin of executors, API keys, workflows and bindings."""

from executors.admin.fleet import ExecutorAdmin, LeaseAdmin
from executors.admin.keys import ApiKeyAdmin
from executors.admin.workflows import BindingAdmin, WorkflowAdmin, WorkflowRevisionAdmin

__all__ = [
    "ApiKeyAdmin",
    "BindingAdmin",
    "ExecutorAdmin",
    "LeaseAdmin",
    "WorkflowAdmin",
    "WorkflowRevisionAdmin",
]
