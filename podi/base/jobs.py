"""What the poller does for accounts: forgetting logins, Idempotency-Keys and rate counters that are over."""

from __future__ import annotations

from podi.base import buckets, idempotency, sessions
from podi.base.duties import Duty


class SweepDuty(Duty):
    """Deletes by age only, so that any number of pollers may do it at once."""

    name = "access-sweep"
    interval_s = 300.0

    def run(self) -> None:
        idempotency.sweep_keys()
        buckets.sweep_buckets()
        sessions.sweep_sessions()
