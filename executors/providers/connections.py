"""Pooled outbound connections: one `requests.Session` per origin, shared by all threads of a process.

A session here is never changed after it is made and keeps no cookies, so sharing is safe: what is left, urllib3's pool,
locks itself. A forked child starts without sessions, because two processes must never write into one socket.
"""

from __future__ import annotations

import os
import threading
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

POOL_SIZE = 64
MAX_IDLE_S = 50.0
"""An older idle connection is dropped: routers forget it silently, and a POST into it would look as if it was taken."""

_sessions: dict[str, requests.Session] = {}
_lock = threading.Lock()


class _IdleLimit:
    """Says "dropped" of a connection that lay unused for too long; urllib3 then opens a new one."""

    _used_at = 0.0

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._used_at = time.monotonic()
        super().request(*args, **kwargs)  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        is_fresh = time.monotonic() - self._used_at < MAX_IDLE_S
        return is_fresh and bool(super().is_connected)  # type: ignore[misc]


class _Http(_IdleLimit, HTTPConnection):
    pass


class _Https(_IdleLimit, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def session_for(origin: str) -> requests.Session:
    """The session of this origin (`https://host:port`), made at first use."""
    with _lock:
        session = _sessions.get(origin)
        if session is None:
            session = _sessions[origin] = _open_session()
        return session


def _open_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxies and no .netrc from the environment of the process
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(pool_connections=1, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.headers.clear()
    session.headers.update({"User-Agent": "PODI", "Accept": "*/*", "Accept-Encoding": "identity"})
    return session


def _forget_sessions() -> None:
    global _lock
    _lock = threading.Lock()  # the parent may have forked while another of its threads held it
    _sessions.clear()


os.register_at_fork(after_in_child=_forget_sessions)
