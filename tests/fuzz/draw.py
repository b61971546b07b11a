"""Numbers, choices and pieces out of an input's bytes: small changes of it are small changes of these.

What the fuzzer's library has for this would be needed to try a kept input again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")

_MAX_PIECES: Final = 7
_SPECIAL: Final = (0, 1, -1, 127, 128, 16_383, 16_384, 2**31 - 1, 2**32, 2**53 + 1, 2**63 - 1, -(2**63))


class Draw:
    """Reads *data* from its front; at its end everything is 0, empty or the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Nothing is left."""
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        """At most so many."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def number(self, below: int) -> int:
        """From 0 up to *below*, which is at most 65,536."""
        return int.from_bytes(self.take(1 if below <= 256 else 2)) % below

    def choice(self, options: Sequence[_T]) -> _T:
        """One of these."""
        return options[self.number(len(options))]

    def int64(self) -> int:
        """Any; the edges more often."""
        if self.number(2):
            return self.choice(_SPECIAL)
        return int.from_bytes(self.take(8), signed=True)

    def run(self, most: int = 256) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.number(most))

    def text(self, most: int = 256) -> str:
        """Any text; bytes that are no UTF-8 become lone surrogates, as JSON may bring them."""
        return self.run(most).decode("utf-8", "surrogateescape")

    def pieces(self) -> list[bytes]:
        """All that is left, cut at places that stand before it."""
        cuts = [self.number(65_536) for _ in range(self.number(_MAX_PIECES))]
        whole = self.rest()
        edges = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
        return [whole[start:end] for start, end in itertools.pairwise(edges)]
