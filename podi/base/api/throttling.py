"""Limits on callers: calls per minute of an API token, and guesses at a password. They hold across processes."""

from __future__ import annotations

import hashlib
from typing import Final

from podi.base import buckets
from podi.base.errors import RateLimited
from podi.base.models import ApiToken

PAIR_GUESSES: Final = 5
PAIR_REFILL_S: Final = 60.0
"""Five wrong passwords for one name from one address, then one a minute."""
ADDRESS_GUESSES: Final = 50
ADDRESS_REFILL_S: Final = 6.0
"""Fifty wrong logins from one address over all names, then ten a minute."""


def check_token_rate(token: ApiToken) -> None:
    """Count one call of the token. Raises RateLimited with `retry_after_s`. A token without a limit costs no query."""
    if not token.rate_per_minute:
        return
    wait_s = buckets.take(f"token:{token.pk}", capacity=token.rate_per_minute, refill_s=60 / token.rate_per_minute)
    if wait_s:
        raise RateLimited(retry_after_s=wait_s, limit=token.rate_per_minute)


class LoginGuard:
    """Counts a login as a guess before the password is looked at, so that parallel guesses are counted too."""

    def __init__(self, identifier: str, *, address: str) -> None:
        pair = hashlib.sha256(f"{identifier.strip().casefold()}\n{address}".encode()).hexdigest()
        self.pair_key = f"login:{pair}"
        self.address_key = f"login-from:{address or 'unknown'}"

    def admit(self) -> None:
        """Raises RateLimited with `retry_after_s`."""
        wait_s = buckets.take(self.pair_key, capacity=PAIR_GUESSES, refill_s=PAIR_REFILL_S) or buckets.take(
            self.address_key, capacity=ADDRESS_GUESSES, refill_s=ADDRESS_REFILL_S
        )
        if wait_s:
            raise RateLimited(retry_after_s=wait_s)

    def forgive(self) -> None:
        """The password was right: it was no guess."""
        buckets.empty(self.pair_key)
        buckets.give_back(self.address_key, refill_s=ADDRESS_REFILL_S)
