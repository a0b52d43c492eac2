"""Does in this process what worker and poller do, step by step: jobs really go through the broker."""

from __future__ import annotations

import time

from django.utils.module_loading import import_string
from django_q.brokers import get_broker
from django_q.signing import SignedPackage

from abilities import runner
from abilities.models import Task
from podi.events import delivery


def work_off() -> int:
    """Run every job that is in the broker now, as a django-q2 worker would. Returns how many."""
    broker = get_broker()
    done = 0
    while broker.queue_size() and (batch := broker.dequeue()):  # an empty Redis queue is waited for, a second each time
        for ack_id, payload in batch:
            job = SignedPackage.loads(payload)
            broker.acknowledge(ack_id)
            import_string(job["func"])(*job["args"])
            done += 1
    return done


def settle(task_id: str, *, polling: runner.Polling, timeout_s: float = 15.0) -> Task:
    """Work and poll until the task has ended."""
    deadline = time.monotonic() + timeout_s
    task = Task.objects.get(pk=task_id)
    while time.monotonic() < deadline:
        work_off()
        polling.step()
        runner.sweep()
        task.refresh_from_db()
        if task.is_terminal:
            return task
        time.sleep(0.02)
    raise AssertionError(f"still {task.state} after {timeout_s} s: {task.error_code} attempt {task.attempt}")


def deliver() -> int:
    return delivery.run_due(limit=50, wait_s=10)
