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


class _Lately:
    """The last replies of a target, and how many there ever were."""

    __slots__ = ("added", "tokens")

    def __init__(self) -> None:
        self.tokens: deque[int] = deque(maxlen=_KEPT)
        self.added = 0


class OutputSizes:
    """The 95th percentile of the last replies' tokens, of each target, in this process."""

    def __init__(self) -> None:
        self._of: dict[str, _Lately] = {}
        self._usual: dict[str, int] = {}

    def add(self, target: str, tokens: int) -> None:
        """Take a reply of *target* into account."""
        lately = self._of.get(target)
        if lately is None:
            if len(self._of) >= _MOST_TARGETS:
                return
            lately = self._of[target] = _Lately()
        lately.tokens.append(tokens)
        lately.added += 1
        if lately.added < _KEPT or not lately.added % _EACH:
            ordered = sorted(lately.tokens)
            self._usual[target] = ordered[int(len(ordered) * _SHARE)]

    def usual(self, target: str) -> int:
        """Tokens that a reply of *target* hardly ever exceeds."""
        return self._usual.get(target, UNKNOWN_TOKENS)

    def known(self, target: str) -> int | None:
        """The same, None of a target of which nothing is known yet."""
        return self._usual.get(target)
