"""Who may send now: a fixed number of sends at once, few for one host, and slow hosts share only a part of them."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Slots:
    """Counts the sends under way. A host is slow from a slow send on until a prompt one."""

    total: int
    per_host: int
    for_slow: int
    """How many sends to slow hosts may be under way together."""
    remembered_hosts: int = 1000
    _busy: Counter[str] = field(default_factory=Counter)
    _slow: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, host: str) -> bool:
        """Take a place for one send. False: none is free for this host now."""
        with self._lock:
            if self._busy.total() >= self.total or not self._is_open(host):
                return False
            self._busy[host] += 1
            return True

    def give_back(self, host: str, *, is_prompt: bool | None) -> None:
        """Free the place. `is_prompt` None: nothing was learnt."""
        with self._lock:
            self._busy[host] -= 1
            if self._busy[host] <= 0:
                del self._busy[host]
            if is_prompt:
                self._slow.pop(host, None)
            elif is_prompt is False:
                self._slow[host] = None
                self._slow.move_to_end(host)
                if len(self._slow) > self.remembered_hosts:
                    self._slow.popitem(last=False)

    def free(self) -> int:
        with self._lock:
            return self.total - self._busy.total()

    def closed_hosts(self) -> set[str]:
        """Hosts that get no place now, so that the search for due deliveries can pass over them."""
        with self._lock:
            slow_full = self._busy_slow() >= self.for_slow
            candidates = {*self._busy, *(self._slow if slow_full else ())}
            return {host for host in candidates if not self._is_open(host)}

    def _is_open(self, host: str) -> bool:
        if host not in self._slow:
            return self._busy[host] < self.per_host
        return self._busy[host] < 1 and self._busy_slow() < self.for_slow

    def _busy_slow(self) -> int:
        return sum(count for host, count in self._busy.items() if host in self._slow)
