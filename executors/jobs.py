"""What the poller does for executors by the clock: probe those that are due."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from django.db import close_old_connections, connection
from django.utils import timezone

from executors.errors import ExecutorNotFound
from executors.services.health import probe, probe_due
from podi.base.duties import Duty

logger = logging.getLogger(__name__)
PROBE_THREADS = 8


class ProbeExecutors(Duty):
    """Asks every active executor how it is. Slow nodes hold up at most as many others as there are threads."""

    name = "probe-executors"
    interval_s = 1.0

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe")

    def run(self) -> None:
        for executor in probe_due(timezone.now(), limit=PROBE_THREADS * 2):
            self._threads.submit(_probe, executor.pk)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)


def _probe(executor_id: str) -> None:
    close_old_connections()
    try:
        probe(executor_id)
    except ExecutorNotFound:
        logger.info("executor %s was deleted before its probe", executor_id)
    except Exception:
        # The job boundary: a probe that stumbles must not end the duty; the executor is due again soon.
        logger.exception("the probe of executor %s stumbled", executor_id)
    finally:
        connection.close()
