"""Numbers that stand for chance and come out alike everywhere: rendezvous hashing.

Who picks by the smallest of them picks as replicas do that never talk to each other, and a target that joins
or leaves moves only what goes to it or was with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

_BYTES: Final = 8
_ALL_BITS: Final = 2**64 - 1
_SPARE_BITS: Final = 11
_STEPS: Final = 2.0**53
"""A float has 53 bits, so all that are kept of a number count."""


class Rendezvous:
    """Draws for the targets of one route.

    Key and name are hashed apart, and the hashes mixed as SplitMix64 does: five draws take 1.5 us, and 2.7
    with a hash of each pair (`perf`, scenario `planning`).
    """

    def __init__(self) -> None:
        # Of the route's targets, so there are few.
        self._prints: dict[str, int] = {}

    def draws(self, key: bytes, names: Sequence[str]) -> list[float]:
        """For each of *names* a number above 0 and at most 1: evenly spread, settled by *key* and that name.

        Args:
            key: Eight bytes or more of a good hash.
            names: Of targets; one that stands there twice, with other parameters, has two numbers.
        """
        if len(set(names)) < len(names):
            names = _told_apart(names)
        number = int.from_bytes(key[:_BYTES], "little")
        prints = self._prints
        drawn = []
        for name in names:
            of_name = prints.get(name)
            if of_name is None:
                of_name = prints[name] = _print_of(name)
            mixed = number ^ of_name
            mixed = (mixed ^ mixed >> 30) * 0xBF58_476D_1CE4_E5B9 & _ALL_BITS
            mixed = (mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB & _ALL_BITS
            drawn.append(((mixed >> _SPARE_BITS) + 1) / _STEPS)
        return drawn


def _told_apart(names: Sequence[str]) -> list[str]:
    """With a number after each name that stands there for the second time and more."""
    seen: Counter[str] = Counter()
    apart = []
    for name in names:
        seen[name] += 1
        apart.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return apart


def _print_of(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=_BYTES).digest(), "little")
