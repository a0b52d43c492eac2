"""What the executors app refuses. Codes are the contract's; one class per code."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from podi.base.errors import Conflict, PodiError


class ExecutorNotFound(PodiError):
    code = "EXECUTOR_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no executor with this id.")


class ExecutorReferenceInvalid(ExecutorNotFound):
    """The same code inside a write, where the contract answers 400."""

    status = 400


class ExecutorTypeMismatch(PodiError):
    """`EXECUTOR_TYPE_NOT_<KIND>`: the executor speaks to another kind of provider than the ability needs."""

    code = "EXECUTOR_TYPE_NOT"
    status = 400
    fault = "caller"
    message = _("This executor is of another type than the ability needs. Name one of the right type, or none.")

    def __init__(self, *, wanted: str, executor_id: str) -> None:
        self.wanted = wanted
        super().__init__(wanted=wanted, executor_id=executor_id)

    @property
    def detail(self) -> str:
        return f"{self.code}_{self.wanted.upper()}"


class ExecutorInactive(PodiError):
    code = "EXECUTOR_INACTIVE"
    status = 400
    fault = "caller"
    message = _("This executor is switched off. Name another one, or none.")


class ExecutorNotConfigured(PodiError):
    code = "ABILITY_EXECUTOR_NOT_CONFIGURED"
    status = 400
    fault = "operator"
    message = _("No active executor can serve this ability. Bind one to it, or switch one of its type on.")


class CozeNotConfigured(PodiError):
    code = "COZE_NOT_CONFIGURED"
    status = 503
    fault = "operator"
    message = _("PODI knows no Coze account: set COZE_BASE_URL and COZE_API_TOKEN, or add an executor of type coze.")


class CozeWorkflowIdMissing(PodiError):
    code = "COZE_WORKFLOW_ID_MISSING"
    status = 400
    fault = "operator"
    message = _("This ability runs on Coze but names no workflow there. Set its Coze workflow id.")


class ExecutorNotMatched(PodiError):
    code = "COMFYUI_EXECUTOR_NOT_MATCHED"
    status = 400
    fault = "operator"
    message = _("No active node fits what this ability allows (executors, tags, installed nodes and models).")


class ExecutorBusy(PodiError):
    code = "EXECUTOR_BUSY"
    status = 429
    retryable = True
    fault = "provider"
    message = _("The executor is busy. Try again as Retry-After says.")


class ProviderKindUnsupported(PodiError):
    """`ABILITY_PROVIDER_UNSUPPORTED:<kind>`."""

    code = "ABILITY_PROVIDER_UNSUPPORTED"
    status = 400
    fault = "operator"
    message = _("PODI does not speak to this kind of provider.")

    def __init__(self, kind: str) -> None:
        super().__init__(suffix=kind, kind=kind)


class QueueFull(PodiError):
    """All queues that could take the task are full. `detail` is the contract's `ERR|<code>|<text>`."""

    code = "QUEUE_FULL"
    status = 429
    retryable = True
    fault = "caller"
    message = _("The queue is full. Nothing was started; try again as Retry-After says.")
    label = "QUEUE_FULL"

    def __init__(self, *, limit: int, current: int, executor_id: str = "", retry_after_s: float = 5.0) -> None:
        self.limit = limit
        self.current = current
        super().__init__(retry_after_s=retry_after_s, limit=limit, current=current, executorId=executor_id)

    @property
    def queue_text(self) -> str:
        """`COMFYUI_QUEUE_FULL(limit=10, current=10)`."""
        return f"{self.label}(limit={self.limit}, current={self.current})"

    @property
    def err_text(self) -> str:
        """The hard-limit form, `ERR|Q1001|COMFYUI_QUEUE_FULL(limit=10, current=10)`."""
        return f"ERR|{self.code}|{self.queue_text}"

    @property
    def detail(self) -> str:
        return self.err_text


class NodeQueueFull(QueueFull):
    code = "Q1001"
    label = "COMFYUI_QUEUE_FULL"
    message = _("Every ComfyUI node that could take this has a full queue. Nothing was started; try again later.")


class CommercialQueueFull(QueueFull):
    code = "Q2001"
    label = "COMMERCIAL_QUEUE_FULL"
    message = _("Every account that could take this has a full queue. Nothing was started; try again later.")


class ApiKeyUnavailable(PodiError):
    """No key can serve now. `retry_after_s` is set where one comes back by itself."""

    code = "API_KEY_UNAVAILABLE"
    status = 503
    retryable = True
    fault = "operator"
    message = _("No API key for this provider can be used now: all are missing, expired, pausing or used up.")


class WorkflowNotFound(PodiError):
    code = "WORKFLOW_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no workflow with this id.")


class WorkflowReferenceInvalid(WorkflowNotFound):
    """The same code inside a write, where the contract answers 400."""

    status = 400


class InvalidWorkflowOrExecutor(PodiError):
    code = "INVALID_WORKFLOW_OR_EXECUTOR"
    status = 400
    fault = "caller"
    message = _("The binding names a workflow or an executor that does not exist.")


class BindingNotFound(PodiError):
    code = "BINDING_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no workflow binding with this id.")


class ApiKeyNotFound(PodiError):
    code = "API_KEY_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no API key with this id.")


class ApiKeyReferenceInvalid(ApiKeyNotFound):
    """The same code inside a write."""

    status = 400


class IdTaken(Conflict):
    code = "ID_TAKEN"
    message = _("This id is already in use. Choose another, or leave it out.")


class WorkflowVersionTaken(Conflict):
    code = "WORKFLOW_VERSION_TAKEN"
    message = _("A workflow with this action, name and version exists already. Choose another version.")


class ExecutorInUse(Conflict):
    code = "EXECUTOR_IN_USE"
    message = _("Tasks wait or run on this executor. Drain it first, or cancel them.")


class BaseUrlMissing(PodiError):
    code = "COMFYUI_BASE_URL_MISSING"
    status = 400
    fault = "operator"
    message = _("This executor has no address. Set its base URL.")


class NodeAnswerFailed(PodiError):
    """A node could not be asked. `code_text` is the contract's code for the question that failed."""

    code = "COMFYUI_NODE_ERROR"
    status = 502
    retryable = True
    fault = "provider"
    message = _("The node did not answer as it should.")

    def __init__(self, code_text: str, message: str | Promise | None = None, **details: Any) -> None:
        self.code_text = code_text
        super().__init__(message, **details)

    @property
    def detail(self) -> str:
        return self.code_text


class ImageToolUnknown(PodiError):
    code = "PODI_UTILITY_UNSUPPORTED"
    status = 400
    fault = "operator"
    message = _("There is no image tool of this name. Correct `action` in the ability's metadata.")


class DraftOperationUnknown(PodiError):
    code = "DRAFT_UNSUPPORTED"
    status = 400
    fault = "operator"
    message = _("There is no draft operation of this name. Correct `action` in the ability's metadata.")


class DraftTooLarge(PodiError):
    code = "DRAFT_TOO_LARGE"
    status = 400
    fault = "caller"
    message = _("The files of the draft are too large for one archive. Use smaller films, or fewer.")


class ImageEmpty(PodiError):
    code = "IMAGE_EMPTY"
    status = 400
    fault = "caller"
    message = _("Nothing would be left of the image. Lower the tolerance, or choose another colour or way of trimming.")


class ColorProfileUnusable(PodiError):
    code = "COLOR_PROFILE_UNUSABLE"
    status = 400
    fault = "caller"
    message = _("The colour profile inside the image is damaged. Save the image with a sound profile, or with none.")


class CmykProfileUnusable(PodiError):
    code = "CMYK_PROFILE_UNUSABLE"
    status = 500
    fault = "operator"
    message = _("The CMYK profile set for the image tools cannot be used. Correct the path, or leave it empty.")


def provider_not_configured(kind: str) -> PodiError:
    """The error of a kind that could work without an executor, had the settings an address and a token for it."""
    declared = {CozeNotConfigured.code: CozeNotConfigured}
    return declared.get(f"{kind.upper()}_NOT_CONFIGURED", ExecutorNotConfigured)(provider=kind)
