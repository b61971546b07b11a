"""Who was not let in, counted, so that it can be noted without a flood.

The first of a kind from an address is told at once; what follows is counted, and told when the window is
over. So however fast somebody guesses, and from however many addresses, a window has `MOST` lines at once,
and at most as many and four more at its end. Pure but for the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["sign_in.failed", "sign_in.locked", "token.refused", "token.locked"]
"""What was refused: a password, link or token on the way in, or the token of a program; *locked* are those
that came while their address has to wait.
"""

WINDOW_S: Final = 60.0
MOST: Final = 40
OTHERS: Final = "others"
"""The address of what is counted together, because there were too many."""

_Key = tuple[Kind, str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is told.

    Attributes:
        address: Whence; `OTHERS` of many.
        user: Whose password it was to be, "" where that is no user: people type passwords into that field.
        count: How many, since this was told last.
    """

    kind: Kind
    address: str
    user: str
    count: int


class Refusals:
    """Counts them. Used on one event loop."""

    def __init__(self, tick_s: Callable[[], float] = time.monotonic, *, most: int = MOST) -> None:
        """Tell *most* at once in a window."""
        self._tick_s = tick_s
        self._most = most
        self._begun_s = tick_s()
        self._fresh: list[Refusal] = []
        self._counts: dict[_Key, int] = {}

    def note(self, kind: Kind, address: str, user: str = "") -> None:
        """Somebody at *address* was refused."""
        key: _Key = (kind, address, user)
        if key in self._counts:
            self._counts[key] += 1
        elif len(self._counts) < self._most:
            self._counts[key] = 0
            self._fresh.append(Refusal(kind, address, user, 1))
        else:
            others: _Key = (kind, OTHERS, "")
            self._counts[others] = self._counts.get(others, 0) + 1

    def due(self) -> list[Refusal]:
        """What is to be told now."""
        if self._tick_s() - self._begun_s >= WINDOW_S:
            return self.rest()
        fresh, self._fresh = self._fresh, []
        return fresh

    def rest(self) -> list[Refusal]:
        """All that was not told yet; another window begins."""
        told = [*self._fresh, *(Refusal(*key, count) for key, count in self._counts.items() if count)]
        self._begun_s, self._fresh, self._counts = self._tick_s(), [], {}
        return told
