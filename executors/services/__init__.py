"""What other apps may ask of the executors: `from executors import services as executors`."""

from executors.registry import provider_class, provider_kinds
from executors.routing import Need
from executors.services.connections import Connection, base_url_of, connect
from executors.services.dispatch import (
    QueuePlace,
    Route,
    avoid,
    free,
    park,
    position,
    reserve,
    route,
    start,
    sweep_leases,
)
from executors.services.health import note_failure, note_success, probe, probe_due

__all__ = [
    "Connection",
    "Need",
    "QueuePlace",
    "Route",
    "avoid",
    "base_url_of",
    "connect",
    "free",
    "note_failure",
    "note_success",
    "park",
    "position",
    "probe",
    "probe_due",
    "provider_class",
    "provider_kinds",
    "reserve",
    "route",
    "start",
    "sweep_leases",
]
