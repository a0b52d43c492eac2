"""Why an attempt or a task ended badly, in the task's words; and what a provider's error means for the task."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from django.utils import timezone

from abilities import errors
from abilities.lifecycle import Problem
from abilities.models import Invocation, Task
from executors.providers.base import ProviderError
from podi.base.errors import PodiError

BACKOFF_S = (0.5, 1, 2, 4, 8, 15, 30)


def problem_of(error: type[PodiError]) -> Problem:
    return Problem(code=error.code, message=error().stored_text, is_retryable=error.retryable)


def timed_out() -> Problem:
    return problem_of(errors.TaskTimeout)


def overdue_problem(last: Invocation | None) -> Problem:
    """Past its deadline. What the last attempt ended with, or could not store, is the cause worth knowing."""
    problem = timed_out()
    if last is None or not last.error_code:
        return problem
    if last.step == Invocation.Step.COLLECTING:
        return Problem(code=last.error_code, message=last.error_message, is_retryable=True)
    return replace(problem, message=f"{problem.message} ({last.error_code}: {last.error_message})")


def provider_problem(error: ProviderError) -> Problem:
    return Problem(code=error.code, message=error.message, is_retryable=error.is_retryable)


def retry_at(task: Task, retry_after_s: float | None) -> datetime:
    """When the next attempt may begin: a growing pause, and not before the provider said (seconds)."""
    pause_s = max(retry_after_s or 0, BACKOFF_S[min(task.attempt - 1, len(BACKOFF_S) - 1)])
    return timezone.now() + timedelta(seconds=pause_s)
