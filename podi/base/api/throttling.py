"""Calls per minute of an API token, counted in the database so that the limit holds across processes."""

from __future__ import annotations

from podi.base import buckets
from podi.base.errors import RateLimited
from podi.base.models import ApiToken


def check_token_rate(token: ApiToken) -> None:
    """Count one call of the token. Raises RateLimited with `retry_after_s`. A token without a limit costs no query."""
    if not token.rate_per_minute:
        return
    wait_s = buckets.take(f"token:{token.pk}", capacity=token.rate_per_minute, refill_s=60 / token.rate_per_minute)
    if wait_s:
        raise RateLimited(retry_after_s=wait_s, limit=token.rate_per_minute)
