"""Why an attempt or a task ended badly, in the task's words; and what a provider's error means for the task."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from abilities import errors
from abilities.lifecycle import Problem
from abilities.models import Task
from executors.providers.base import ProviderError
from podi.base.errors import PodiError

BACKOFF_S = (0.5, 1, 2, 4, 8, 15, 30)


def problem_of(error: type[PodiError]) -> Problem:
    return Problem(code=error.code, message=str(error.message), is_retryable=error.retryable)


def timed_out() -> Problem:
    return problem_of(errors.TaskTimeout)


def provider_problem(error: ProviderError) -> Problem:
    return Problem(code=error.code, message=error.message, is_retryable=error.is_retryable)


def retry_at(task: Task, retry_after_s: float | None) -> datetime:
    """When the next attempt may begin: what the provider asked for (seconds), else a growing pause."""
    pause_s = retry_after_s
    if pause_s is None:
        pause_s = BACKOFF_S[min(task.attempt - 1, len(BACKOFF_S) - 1)]
    return timezone.now() + timedelta(seconds=pause_s)
