"""Why a request gave no usable answer, and whether the other side can have seen it."""

from __future__ import annotations


class OutboundError(Exception):
    """`was_sent` is False where surely nothing of the request reached the other side."""

    was_sent: bool = True


class Forbidden(OutboundError):
    """We do not go there: scheme, user name in the address, port, headers, or where the name leads."""

    was_sent = False


class InvalidUrl(Forbidden):
    """That is not an address at all."""


class Unreachable(OutboundError):
    """No connection: unknown name, refused, no route, TLS failed."""

    was_sent = False


class TimedOut(OutboundError):
    """The whole time allowed has passed, however busily the other side was dripping."""

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class TooLarge(OutboundError):
    """The body is longer than allowed, as declared or as counted."""


class BrokenAnswer(OutboundError):
    """The answer cannot be read: cut off, not HTTP, compressed against our wish."""


class TooManyRedirects(BrokenAnswer):
    """More redirects than allowed."""
