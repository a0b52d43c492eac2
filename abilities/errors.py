"""What can be wrong with a call of an ability, and how a task can end badly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from podi.base.errors import NotFound, PodiError


class AbilityNotFound(NotFound):
    code = "ABILITY_NOT_FOUND"
    message = _("There is no such ability. `GET /api/abilities` lists them.")


class AbilityNotFoundOrInactive(NotFound):
    code = "ABILITY_NOT_FOUND_OR_INACTIVE"
    message = _("There is no such ability, or it is switched off.")


class AbilityInactive(PodiError):
    code = "ABILITY_INACTIVE"
    status = 400
    fault = "operator"
    message = _("This ability is switched off.")


class AbilityVersionNotFound(NotFound):
    code = "ABILITY_VERSION_NOT_FOUND"
    message = _("This ability has no such version.")


class AbilityKeyTaken(PodiError):
    code = "ABILITY_KEY_TAKEN"
    status = 409
    fault = "caller"
    message = _("There is already an ability with this id or with this provider and key.")


class AbilityInUse(PodiError):
    code = "ABILITY_IN_USE"
    status = 409
    fault = "caller"
    message = _("This ability has tasks, which are kept. Switch it off instead of deleting it.")


class InvalidSchema(PodiError):
    code = "INVALID_INPUT_SCHEMA"
    status = 422
    fault = "caller"
    message = _("The input schema is not usable; see `fields`.")


class PromptRequired(PodiError):
    code = "PROMPT_REQUIRED"
    status = 400
    fault = "caller"
    message = _("This ability needs a prompt.")


class TaskIdRequired(PodiError):
    code = "TASK_ID_REQUIRED"
    status = 400
    fault = "caller"
    message = _("Send the task id.")


class TaskNotFound(NotFound):
    code = "TASK_NOT_FOUND"
    message = _("There is no such task, or it belongs to somebody else.")


class DraftNotFound(NotFound):
    code = "DRAFT_NOT_FOUND"
    message = _("There is no such draft, or it belongs to somebody else.")


class TaskNotCancellable(PodiError):
    code = "TASK_NOT_CANCELLABLE"
    status = 409
    fault = "caller"
    message = _("This task has ended, or its provider cannot stop it any more.")


class TaskNotRetryable(PodiError):
    code = "TASK_NOT_RETRYABLE"
    status = 409
    fault = "caller"
    message = _("Only a task that failed or was cancelled can be tried again.")


class InvocationNotFound(NotFound):
    code = "ABILITY_LOG_NOT_FOUND"
    message = _("There is no such call in the log.")


class InvocationNotComfyUI(PodiError):
    code = "ABILITY_LOG_NOT_COMFYUI"
    status = 400
    fault = "caller"
    message = _("Only a call that ran on a ComfyUI node can be fetched again.")


class PromptIdRequired(PodiError):
    code = "COMFYUI_PROMPT_ID_REQUIRED"
    status = 400
    fault = "caller"
    message = _("This call never reached a node, so there is nothing to fetch.")


class NodeAddressRequired(PodiError):
    code = "COMFYUI_BASE_URL_REQUIRED"
    status = 400
    fault = "operator"
    message = _("The node of this call is gone or has no address.")


class NodeRunNotDone(PodiError):
    code = "COMFYUI_STATUS"
    status = 409
    retryable = True
    fault = "provider"
    message = _("The node has not finished this run, or no longer knows it.")

    @property
    def detail(self) -> str:
        return f"{self.code}_{self.suffix or 'unknown'}"


class NodeImagesEmpty(PodiError):
    code = "COMFYUI_IMAGES_EMPTY"
    status = 409
    fault = "provider"
    message = _("The node finished this run without pictures.")


class NodeHistoryFailed(PodiError):
    code = "COMFYUI_HISTORY_INVALID"
    status = 502
    retryable = True
    fault = "provider"
    message = _("The node did not give its record of this run.")


class TaskTimeout(PodiError):
    """An end of a task."""

    code = "TASK_TIMEOUT"
    status = 504
    retryable = True
    fault = "provider"
    message = _("The task was not done before its deadline.")


class SubmitUnknown(PodiError):
    """An end of a task: the provider may have taken the work, and there is no way to ask."""

    code = "SUBMIT_UNKNOWN"
    status = 502
    fault = "provider"
    message = _("The provider may have taken the work but did not say so. It was not sent again; points were returned.")


class ProviderForgot(PodiError):
    """An end of a task."""

    code = "PROVIDER_FORGOT"
    status = 502
    retryable = True
    fault = "provider"
    message = _("The provider no longer knows this work.")


class Interrupted(PodiError):
    """An end of a task or of one invocation."""

    code = "INTERRUPTED"
    status = 503
    retryable = True
    fault = "podi"
    message = _("The process that did this work stopped in the middle.")


class OutputsMissing(PodiError):
    """An end of a task."""

    code = "TASK_IMAGES_EMPTY"
    status = 502
    retryable = True
    fault = "provider"
    message = _("The provider reported success but gave none of the promised results.")


class TaskFailed(PodiError):
    """A failed task, at doors that answer a failure with an HTTP status; the task's own code is `detail`."""

    code = "TASK_FAILED"
    status = 502
    fault = "provider"
    message = _("The task failed.")

    def __init__(
        self, task_code: str, message: str, *, status: int, retryable: bool, details: Mapping[str, Any] | None = None
    ) -> None:
        self.task_code = task_code
        super().__init__(message or None, **(details or {}))
        self.status = status  # type: ignore[misc]
        self.retryable = retryable  # type: ignore[misc]

    @property
    def detail(self) -> str:
        return self.task_code or self.code
