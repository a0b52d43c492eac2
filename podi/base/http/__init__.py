"""The only way out for addresses that come from outside: checked, pinned, bounded in time and bytes.

Nothing here reads settings or knows Django; every limit is an argument.
"""

from podi.base.http.client import Answer, OpenAnswer, check_url, open_url, request
from podi.base.http.connection import Resolver
from podi.base.http.errors import (
    BrokenAnswer,
    Forbidden,
    InvalidUrl,
    OutboundError,
    TimedOut,
    TooLarge,
    TooManyRedirects,
    Unreachable,
)

__all__ = [
    "Answer",
    "BrokenAnswer",
    "Forbidden",
    "InvalidUrl",
    "OpenAnswer",
    "OutboundError",
    "Resolver",
    "TimedOut",
    "TooLarge",
    "TooManyRedirects",
    "Unreachable",
    "check_url",
    "open_url",
    "request",
]
