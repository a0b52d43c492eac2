"""One request and its answer. The name is looked up once for each hop, and only checked addresses are reached.

Connections are not kept from one request to the next (a kept one would skip the check); the costly part, the TLS
context, is. Proxies of the environment, cookies and compressed bodies are not used.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, LocationParseError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from podi.base.http.addresses import is_allowed, is_ip, parse_networks
from podi.base.http.connection import Resolver, connect, resolve
from podi.base.http.errors import BrokenAnswer, Forbidden, InvalidUrl, TimedOut, TooLarge, TooManyRedirects

CHUNK_BYTES = 64 * 1024
MAX_URL_CHARS = 8192
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Ports of other protocols, which an HTTP request could be made to speak: the fetch standard's list, and data stores.
FORBIDDEN_PORTS = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109}
    | {110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530}
    | {531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3306, 3659, 4045}
    | {4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211}
)
# What may follow a redirect to another origin; anything else a caller sets may be a secret.
_HARMLESS_HEADERS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_OUR_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "accept-encoding"})
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer. Header names are lower-case; the body is as sent, never decompressed; `url` is the last one."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class OpenAnswer:
    """An answer whose body has not been read yet; read it once, inside the `with` that gave it."""

    def __init__(self, response: BaseHTTPResponse, *, url: str, max_bytes: int) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.url = url
        self._response = response
        self._max_bytes = max_bytes

    def iter_bytes(self) -> Iterator[bytes]:
        """The body in chunks. Raises TooLarge, TimedOut, or BrokenAnswer (cut off, or compressed unasked)."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            raise BrokenAnswer(f"the answer is encoded as {encoding[:40]!r} though we asked for none")
        yield from self.iter_raw_bytes()

    def iter_raw_bytes(self) -> Iterator[bytes]:
        """The body as sent, compressed or not, and never decompressed."""
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise TooLarge(f"{declared} bytes are declared, {self._max_bytes} are allowed")
        count = 0
        with _translate_errors():
            for chunk in self._response.stream(CHUNK_BYTES, decode_content=False):
                count += len(chunk)
                if count > self._max_bytes:
                    raise TooLarge(f"more than {self._max_bytes} bytes")
                yield chunk


@dataclass(frozen=True, kw_only=True)
class _Hop:
    method: str
    target: Url
    headers: Mapping[str, str]
    body: bytes


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_s: float,
    max_bytes: int,
    max_redirects: int = 0,
    allowed_networks: Sequence[str] = (),
    resolver: Resolver | None = None,
    ca_file: str | None = None,
) -> Answer:
    """Send one request and read the whole answer. Any status is an answer, also a redirect when none may be followed.

    `timeout_s` is for everything together; the rest is as in `open_url`. Raises OutboundError.
    """
    with open_url(
        url,
        method=method,
        headers=headers,
        body=body,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
        max_redirects=max_redirects,
        allowed_networks=allowed_networks,
        resolver=resolver,
        ca_file=ca_file,
    ) as answer:
        content = b"".join(answer.iter_raw_bytes())
    return Answer(status=answer.status, headers=answer.headers, body=content, url=answer.url)


@contextmanager
def open_url(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_s: float,
    max_bytes: int,
    max_redirects: int = 0,
    allowed_networks: Sequence[str] = (),
    resolver: Resolver | None = None,
    ca_file: str | None = None,
) -> Iterator[OpenAnswer]:
    """The same with the body still to be read: `with open_url(...) as answer: for chunk in answer.iter_bytes(): ...`.

    `allowed_networks` are CIDR texts of own networks that may be reached though they are not public. `ca_file` adds
    certificates to trust. `resolver` replaces the system's name lookup.
    """
    networks = parse_networks(allowed_networks)
    deadline = time.monotonic() + timeout_s
    hop = _Hop(method=method.upper(), target=_parse(url), headers=_checked_headers(headers or {}), body=body)
    for left in range(max_redirects, -1, -1):
        host, port = _host(hop.target), _port(hop.target)
        addresses = resolve(host, port, networks=networks, deadline=deadline, resolver=resolver)
        is_tls = hop.target.scheme == "https"
        connection = connect(host, port, is_tls=is_tls, addresses=addresses, deadline=deadline, ca_file=ca_file)
        try:
            response = _exchange(connection, hop)
            location = response.headers.get("location") if response.status in REDIRECTS else None
            if not location or not max_redirects:
                yield OpenAnswer(response, url=hop.target.url, max_bytes=max_bytes)
                return
        finally:
            connection.close()
        if left:
            hop = _next_hop(hop, status=response.status, location=location)
    raise TooManyRedirects(f"more than {max_redirects} redirects")


def check_url(url: str, *, allowed_networks: Sequence[str] = ()) -> None:
    """Refuse what can be refused without a lookup: syntax, scheme, user name, port, a forbidden IP address.

    Raises Forbidden or InvalidUrl.
    """
    host = _host(_parse(url))
    if is_ip(host) and not is_allowed(host, parse_networks(allowed_networks)):
        raise Forbidden(f"{host} is not a public address")


def _exchange(connection: HTTPConnection, hop: _Hop) -> BaseHTTPResponse:
    with _translate_errors():
        # A server may answer (413, 401) and close before it has read the body: then the answer counts, not the pipe.
        with suppress(BrokenPipeError):
            connection.request(
                hop.method,
                hop.target.request_uri,
                body=hop.body or None,
                headers=hop.headers,
                preload_content=False,
                decode_content=False,
            )
        return connection.getresponse()


def _next_hop(hop: _Hop, *, status: int, location: str) -> _Hop:
    # Header values arrive as Latin-1; servers write UTF-8 into them.
    text = location.encode("latin-1", "replace").decode("utf-8", "replace").strip()
    target = _parse(urljoin(hop.target.url, text))
    if (target.scheme, _host(target), _port(target)) != (hop.target.scheme, _host(hop.target), _port(hop.target)):
        kept = {name: value for name, value in hop.headers.items() if name.lower() in _HARMLESS_HEADERS}
        hop = replace(hop, headers=kept)
    if status == 303 or (status in (301, 302) and hop.method == "POST"):
        hop = replace(hop, method="HEAD" if hop.method == "HEAD" else "GET", body=b"")
    return replace(hop, target=target)


def _parse(url: str) -> Url:
    if len(url) > MAX_URL_CHARS or _UNSAFE_IN_URL.search(url):
        raise InvalidUrl("the address contains blanks, control characters or backslashes, or is too long")
    try:
        parsed = parse_url(url)
    except LocationParseError:
        raise InvalidUrl("the address cannot be read") from None
    if parsed.scheme not in ("http", "https"):
        raise Forbidden("only http and https addresses are reached")
    if not parsed.host:
        raise InvalidUrl("the address names no host")
    if parsed.auth is not None:
        raise Forbidden("the address contains a user name")
    if "%" in parsed.host:
        raise Forbidden("the address names a network interface")
    if _port(parsed) in FORBIDDEN_PORTS:
        raise Forbidden(f"port {parsed.port} is not for web servers")
    return parsed._replace(fragment=None)


def _host(target: Url) -> str:
    return (target.host or "").strip("[]")


def _port(target: Url) -> int:
    if target.port is not None:
        return target.port
    return 443 if target.scheme == "https" else 80


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked = {"Accept-Encoding": "identity"}
    if not any(name.lower() == "user-agent" for name in headers):
        checked["User-Agent"] = "PODI"
    for name, value in headers.items():
        if name.lower() in _OUR_HEADERS:
            raise Forbidden(f"the header {name} is not the caller's to set")
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise Forbidden("a header contains characters that cannot be sent")
        checked[name] = value
    return checked


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, ReadTimeoutError):
        raise TimedOut("the answer took too long") from None
    except (HTTPError, http.client.HTTPException, OSError) as error:
        raise BrokenAnswer(f"the answer broke off or cannot be read ({type(error).__name__})") from error
