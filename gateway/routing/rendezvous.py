"""Numbers that stand for chance and come out alike everywhere: rendezvous hashing.

Who picks by the smallest of them picks as replicas do that never talk to each other, and a target that joins
or leaves moves only what goes to it or was with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_BYTES: Final = 8
_SPARE_BITS: Final = 11
_STEPS: Final = 2.0**53
"""A float has 53 bits, so all that are kept of the hash count."""


def draws(key: bytes, names: Iterable[str]) -> list[float]:
    """For each of *names* a number above 0 and at most 1: evenly spread, settled by *key* and that name."""
    of_key = blake2b(key, digest_size=_BYTES)
    found = []
    for name in names:
        both = of_key.copy()
        both.update(name.encode())
        found.append(((int.from_bytes(both.digest(), "little") >> _SPARE_BITS) + 1) / _STEPS)
    return found
