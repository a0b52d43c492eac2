"""Result links that a provider names in its answers: fetched from public addresses only, under the endpoint's limits.

The transport speaks to the address an operator configured. A link in an answer may lead anywhere, so it goes through
`podi.base.http`, the one guarded way out, which is plain Python and the only thing of PODI's that adapters import.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from executors.providers.base import Endpoint, ProviderError, ProviderRejected, ProviderUnreachable
from podi.base import http

FETCH_TOTAL_S = 600.0
MAX_REDIRECTS = 3
_GONE = frozenset({401, 403, 404, 410})


def open_link(url: str, endpoint: Endpoint) -> Iterator[bytes]:
    """The bytes behind a link, in chunks. Sends none of the endpoint's secrets.

    ProviderUnreachable where another try may help. ProviderRejected with OUTPUT_LINK_FORBIDDEN for an address that is
    not public, OUTPUT_LINK_GONE for a link that was refused or has expired, OUTPUT_TOO_LARGE.
    """
    host = _host_of(url)
    problem: ProviderError
    try:
        with http.open_url(
            url,
            timeout_s=FETCH_TOTAL_S,
            max_bytes=endpoint.max_output_bytes,
            max_redirects=MAX_REDIRECTS,
            allowed_networks=endpoint.allowed_networks,
        ) as answer:
            if answer.status == 200:
                yield from answer.iter_bytes()
                return
            problem = _refusal(answer.status, host)
    except http.OutboundError as error:
        problem = _failure(error, host)
    raise problem


def _refusal(status: int, host: str) -> ProviderError:
    if status in _GONE:
        message = f"{host} no longer gives this result (HTTP {status}); its link may have expired."
        return ProviderRejected(message, code="OUTPUT_LINK_GONE")
    return ProviderUnreachable(f"{host} did not give the result (HTTP {status}).")


def _failure(error: http.OutboundError, host: str) -> ProviderError:
    if isinstance(error, http.Forbidden):
        message = f"The result's address ({host or 'unreadable'}) is not one PODI fetches from."
        return ProviderRejected(message, code="OUTPUT_LINK_FORBIDDEN")
    if isinstance(error, http.TooLarge):
        return ProviderRejected(f"The result at {host} is larger than allowed.", code="OUTPUT_TOO_LARGE")
    return ProviderUnreachable(f"The result at {host} cannot be fetched now ({type(error).__name__}).")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
