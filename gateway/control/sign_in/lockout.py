"""Guessing made slow: per address, and a little for all together.

Pure but for the clock that is passed in. It forgets at a restart, and addresses that have been quiet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_MAX_ADDRESSES: Final = 4096
_FORGET_S: Final = 3600.0
# All addresses together: many times as many, and never long, or an attacker would lock the operator out.
_ALL: Final = "all"
_ALL_TIMES: Final = 10
_ALL_MOST_S: Final = 5.0
_MAX_NAMES: Final = 32
"""Names that are told apart of one address; failures at others stay until they are forgotten."""


@dataclass(slots=True)
class _Record:
    """Failures: all, and those at each name, None for the names that are too many."""

    count: int = 0
    at: dict[str | None, int] = field(default_factory=dict)
    last_s: float = 0.0
    until_s: float = 0.0


class Lockout:
    """Counts failures, and says how long to wait before the next try."""

    def __init__(self, now_s: Callable[[], float], *, free: int, first_s: float, most_s: float) -> None:
        """Let *free* failures pass; each after that doubles the wait, from *first_s* to *most_s*."""
        self._now_s = now_s
        self._free = free
        self._first_s = first_s
        self._most_s = most_s
        self._records: dict[str, _Record] = {}

    def wait_s(self, address: str) -> float:
        """How long *address* has to wait; 0.0: not at all."""
        now_s = self._now_s()
        records = (self._records.get(key) for key in (_network(address), _ALL))
        return max(0.0, *(record.until_s - now_s for record in records if record is not None), 0.0)

    def failed(self, address: str, name: str = "") -> None:
        """A guess from *address* at the secret of *name* was wrong."""
        self._count(_network(address), name, self._free, self._most_s)
        self._count(_ALL, "", self._free * _ALL_TIMES, _ALL_MOST_S)

    def succeeded(self, address: str, name: str = "") -> None:
        """Somebody at *address* knew the secret of *name*: what failed at that were slips.

        Not what failed at other names, or whoever has an account could guess at an admin's without end,
        signing in as themselves before each wait.
        """
        record = self._records.get(_network(address))
        if record is not None:
            record.count -= record.at.pop(name, 0)

    def _count(self, key: str, name: str, free: int, most_s: float) -> None:
        now_s = self._now_s()
        record = self._records.pop(key, None)
        if record is None or now_s - record.last_s > _FORGET_S:
            record = _Record()
        record.count += 1
        at = name if name in record.at or len(record.at) < _MAX_NAMES else None
        record.at[at] = record.at.get(at, 0) + 1
        record.last_s = now_s
        if record.count > free:
            doubled = self._first_s * 2.0 ** min(record.count - free - 1, 32)
            record.until_s = now_s + min(most_s, doubled)
        # The one touched last is at the end; the one at the front goes when there are too many.
        self._records[key] = record
        if len(self._records) > _MAX_ADDRESSES:
            del self._records[next(one for one in self._records if one != _ALL)]


def _network(address: str) -> str:
    """What one person has: an IPv4 address, or 64 bits of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
