"""How long replies of each target usually are, for calls that do not say how long theirs may be."""

from __future__ import annotations

from collections import deque
from typing import Final

UNKNOWN_TOKENS: Final = 1024
"""Of a target of which nothing is known yet."""

_KEPT: Final = 100
_SHARE: Final = 0.95
_MOST_TARGETS: Final = 10_000
_EACH: Final = 10
"""Where many are kept it is worked out anew only each so many replies."""


class OutputSizes:
    """The 95th percentile of the last replies' tokens, of each target, in this process."""

    def __init__(self) -> None:
        self._last: dict[str, deque[int]] = {}
        self._usual: dict[str, int] = {}
        self._added: dict[str, int] = {}

    def add(self, target: str, tokens: int) -> None:
        """Take a reply of *target* into account."""
        last = self._last.get(target)
        if last is None:
            if len(self._last) >= _MOST_TARGETS:
                return
            last = self._last[target] = deque(maxlen=_KEPT)
        last.append(tokens)
        added = self._added[target] = self._added.get(target, 0) + 1
        if added < _KEPT or not added % _EACH:
            ordered = sorted(last)
            self._usual[target] = ordered[int(len(ordered) * _SHARE)]

    def usual(self, target: str) -> int:
        """Tokens that a reply of *target* hardly ever exceeds."""
        return self._usual.get(target, UNKNOWN_TOKENS)
