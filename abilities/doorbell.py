"""Rings a worker through django-q2. Only a doorbell: the tables are the truth, and the poller rings again.

Where the broker is a table of the same database, the ring is part of the caller's transaction: nothing is lost.
Elsewhere it happens after commit and never fails the caller: a lost ring costs one sweep.
"""

from __future__ import annotations

from functools import partial

from django.db import connection, transaction
from django_q.conf import Conf
from django_q.tasks import async_task


def ring_dispatch(task_id: str) -> None:
    _ring("abilities.jobs.dispatch", task_id)


def ring_collect(invocation_id: int) -> None:
    _ring("abilities.jobs.collect", invocation_id)


def ring_cancel(task_id: str) -> None:
    _ring("abilities.jobs.cancel", task_id)


def ring_stop(provider: str, executor_id: str, api_key_id: str, ref: str) -> None:
    """Ask a provider to stop work whose task has already ended."""
    _ring("abilities.jobs.stop", provider, executor_id, api_key_id, ref)


def _ring(job: str, *keys: str | int) -> None:
    if connection.in_atomic_block and connection.alias == Conf.ORM:
        async_task(job, *keys)
    else:
        transaction.on_commit(partial(async_task, job, *keys), robust=True)
