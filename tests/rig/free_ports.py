"""Ports for programs that have to be told one, and listen there some time later.

None of them is among those that the system gives out by itself, to `bind` with port 0 and to connections
outwards: of these, another test may have got one before the program that it was found for begins.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Final

_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST: Final = 10_000
_LAST: Final = 65_535
# Where the file is not, as on macOS; these are what IANA leaves to systems.
_USUAL: Final = (49_152, 65_535)
_TRIES: Final = 1_000

_found: Final[set[int]] = set()


def free_port() -> int:
    """A port of loopback that nobody has at the moment, and that was not found before in this process.

    Raises:
        AssertionError: There is none.
    """
    low, high = _given_out()
    ours = [*range(_FIRST, min(low, _LAST)), *range(max(high + 1, _FIRST), _LAST + 1)]
    for _ in range(_TRIES):
        # Where all are given out, one of them has to do.
        port = secrets.choice(ours) if ours else 0
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            port = int(one.getsockname()[1])
        if port not in _found:
            _found.add(port)
            return port
    raise AssertionError("no port is free")


def _given_out() -> tuple[int, int]:
    try:
        low, high = _RANGE_FILE.read_text().split()
    except OSError:
        return _USUAL
    return int(low), int(high)
