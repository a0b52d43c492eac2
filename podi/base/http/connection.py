"""A connection to one checked address, for one name, with one moment at which every wait ends."""

from __future__ import annotations

import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from podi.base.http.addresses import Network, is_allowed, is_ip
from podi.base.http.errors import Forbidden, InvalidUrl, TimedOut, Unreachable

Resolver = Callable[[str, int], Sequence[str]]
"""Host name and port to IP addresses. Raises OSError when there are none."""

CONNECT_TIMEOUT_S = 10.0


def resolve(
    host: str, port: int, *, networks: Sequence[Network], deadline: float, resolver: Resolver | None
) -> Sequence[str]:
    """Every address behind the name, all allowed: a single forbidden one forbids the name."""
    addresses = [host] if is_ip(host) else _look_up(host, port, deadline=deadline, resolver=resolver or _ask_system)
    if not all(is_allowed(address, networks) for address in addresses):
        raise Forbidden(f"{host} leads to an address that is not public")
    return addresses


def connect(
    host: str, port: int, *, is_tls: bool, addresses: Sequence[str], deadline: float, ca_file: str | None
) -> HTTPConnection:
    """A connection to the first of these checked addresses that answers; Host, SNI and certificate are the name's."""
    connection = (
        _PinnedHttps(host, port, addresses=addresses, deadline=deadline, ca_file=ca_file)
        if is_tls
        else _PinnedHttp(host, port, addresses=addresses, deadline=deadline)
    )
    try:
        connection.connect()
    except TimeoutError:
        connection.close()
        raise TimedOut(f"{host} did not answer in time", was_sent=False) from None
    except (OSError, ValueError, HTTPError) as error:
        connection.close()
        raise Unreachable(f"no connection to {host}: {getattr(error, 'strerror', None) or error}") from error
    if isinstance(connection.sock, _TimedSocket):
        connection.sock.deadline = deadline
    return connection


def _ask_system(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _look_up(host: str, port: int, *, deadline: float, resolver: Resolver) -> Sequence[str]:
    """Ask in a thread of its own: the system's lookup knows no time limit, and the caller's ends at the deadline."""
    answers: queue.SimpleQueue[Sequence[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host, port))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
    except queue.Empty:
        raise TimedOut(f"looking up {host} took too long", was_sent=False) from None
    if isinstance(answer, UnicodeError):
        raise InvalidUrl(f"{host} cannot be a host name") from answer
    if isinstance(answer, OSError) or not answer:
        raise Unreachable(f"{host} was not found")
    return answer


class _TimedSocket(socket.socket):
    """A socket whose every wait ends at one moment: a server that drips a byte a second gains nothing by it."""

    deadline: float = math.inf

    def _arm(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time allowed has passed")
        self.settimeout(None if left == math.inf else left)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._arm()
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self._arm()
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._arm()
        super().sendall(*args, **kwargs)


class _TimedTlsSocket(_TimedSocket, ssl.SSLSocket):
    pass


@lru_cache(maxsize=8)
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Shared by all requests of a process: making one costs more than the rest of a request."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    context.sslsocket_class = _TimedTlsSocket
    return context


def _open_socket(addresses: Sequence[str], port: int, *, deadline: float) -> socket.socket:
    problem: OSError = OSError("no address")
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time allowed has passed")
        sock = _TimedSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(min(left, CONNECT_TIMEOUT_S))
            sock.connect((address, port))
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            sock.deadline = deadline
        except OSError as error:
            sock.close()
            problem = error
        else:
            return sock
    raise problem


class _PinnedHttp(HTTPConnection):
    def __init__(self, host: str, port: int, *, addresses: Sequence[str], deadline: float) -> None:
        super().__init__(host, port)
        self._addresses, self._deadline = addresses, deadline

    def _new_conn(self) -> socket.socket:
        return _open_socket(self._addresses, self.port, deadline=self._deadline)


class _PinnedHttps(HTTPSConnection):
    def __init__(self, host: str, port: int, *, addresses: Sequence[str], deadline: float, ca_file: str | None) -> None:
        super().__init__(host, port, ssl_context=_tls_context(ca_file))
        self._addresses, self._deadline = addresses, deadline

    def _new_conn(self) -> socket.socket:
        return _open_socket(self._addresses, self.port, deadline=self._deadline)
