"""The address and token that the settings give a kind, so that it works without a row in `executors`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings

from executors.providers.base import Endpoint, Provider


def find_endpoint(cls: type[Provider]) -> Endpoint | None:
    """None where the settings say nothing of this kind, which is the same as: a row is needed after all."""
    if cls.runs_here:
        return Endpoint(kind=cls.kind)
    given: Mapping[str, Any] | None = settings.PROVIDER_ENDPOINTS.get(cls.kind)
    if given is None or cls.needs_executor:
        return None
    return bounded(
        Endpoint(kind=cls.kind, base_url=given["base_url"], secrets=given["secrets"], options=given["options"])
    )


def bounded(endpoint: Endpoint) -> Endpoint:
    """The same under the limits for results that lie behind links in a provider's answers."""
    return replace(
        endpoint,
        allowed_networks=tuple(settings.FETCH_ALLOWED_NETWORKS),
        max_output_bytes=settings.MAX_OUTPUT_BYTES,
    )
