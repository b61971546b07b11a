"""What one worker takes on at once, and why it takes no more.

Three bounds: calls in flight, bytes of input held, and the event loop's lateness. A call of lower priority
meets them earlier: the first two it may use to a share, and while the loop is behind

- `low` is refused,
- `normal` is refused when the loop's present turn has lasted longer than the target already, as it has then
  waited at least so long, and what waits behind it longer,
- `high` the same, after `PATIENCE` times the target.

So a turn begins as many calls as it has time for and refuses the rest, which costs little.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from gateway.errors import Overloaded
from gateway.overload.lateness import Lateness
from gateway.overload.priorities import SHARES_WITHOUT_RULES, Priority

PATIENCE: Final = 4.0
"""Of `high`, in targets."""

_TRACED_PER_S: Final = 10
"""Refused calls that get a trace. All of them would be work of the kind that there is too much of already."""

_SPREAD_S: Final = 3
"""Callers are told to wait 1 to so many seconds: those refused together should not come back together."""

_WHY: Final[Mapping[str, str]] = {
    "in_flight": "it has as many calls in flight as it takes on",
    "input_bytes": "the requests in flight are as large as it can hold",
    "cpu": "it has more to do than it gets done",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one worker takes on.

    Attributes:
        calls: At once, streams included.
        input_bytes: Of bodies that are held.
    """

    calls: int
    input_bytes: int


@dataclass(slots=True)
class Gate:
    """The bounds of one worker, and how far they are used. On its event loop's thread only.

    Attributes:
        open: The calls inside; whoever lets one in and out keeps it.
        lateness: Of its event loop.
        random: Spreads what refused callers do next.
        shares: Of `calls` and `input_bytes`, by priority; those of the configuration in force.
        input_bytes: Held now.
        refused: How many calls, by priority and reason.
    """

    bounds: Bounds
    open: set[Any]
    lateness: Lateness
    random: Random
    clock: Callable[[], float]
    shares: Mapping[Priority, float] = field(default_factory=lambda: SHARES_WITHOUT_RULES)
    input_bytes: int = 0
    refused: Counter[tuple[Priority, str]] = field(default_factory=Counter)
    _traced: int = 0
    _traced_at_s: float = 0.0
    _least_calls: float = 0.0
    _least_bytes: float = 0.0

    def __post_init__(self) -> None:
        """Work out what every call is compared with."""
        self.take_shares(self.shares)

    def take_shares(self, shares: Mapping[Priority, float]) -> None:
        """Let these hold from now on."""
        self.shares = shares
        least = min(shares.values())
        self._least_calls, self._least_bytes = self.bounds.calls * least, self.bounds.input_bytes * least

    @property
    def is_tight(self) -> bool:
        """Whether a call might be refused by how many there are; asked of every call, before anything."""
        return self.lateness.is_behind or len(self.open) >= self._least_calls

    def refusal(self, priority: Priority, *, inside: int = 0) -> Overloaded | None:
        """Why a call of *priority* cannot be taken on now; one that is refused is counted.

        Args:
            priority: Of the call.
            inside: 1 where it is among `open` already.
        """
        if len(self.open) - inside >= self.bounds.calls * self.shares[priority]:
            return self._refuse(priority, "in_flight")
        if self.lateness.is_behind and self._is_late_for(priority):
            return self._refuse(priority, "cpu")
        return None

    def hold(self, size_bytes: int, find_priority: Callable[[], Priority]) -> None:
        """Hold so much more input; whoever does gives it back with `let_go`.

        Args:
            size_bytes: Of a body, or of a piece of it.
            find_priority: Asked only where it may matter.

        Raises:
            Overloaded: That is more than may be held.
        """
        held_bytes = self.input_bytes + size_bytes
        # What is alone is held: its own bound is another.
        if held_bytes > self._least_bytes and self.input_bytes:
            priority = find_priority()
            if held_bytes > self.bounds.input_bytes * self.shares[priority]:
                raise self._refuse(priority, "input_bytes")
        self.input_bytes = held_bytes

    def let_go(self, size_bytes: int) -> None:
        """Hold so much less."""
        self.input_bytes -= size_bytes

    def check_inside(self, priority: Priority) -> None:
        """Ask once more, of a call that is inside and whose priority is known only now.

        Raises:
            Overloaded: It would have been refused.
        """
        refusal = self.refusal(priority, inside=1)
        if refusal is not None:
            raise refusal

    def may_trace(self) -> bool:
        """Whether a call that is refused now gets a trace."""
        now_s = self.clock()
        if now_s - self._traced_at_s >= 1.0:
            self._traced_at_s, self._traced = now_s, 0
        self._traced += 1
        return self._traced <= _TRACED_PER_S

    def _is_late_for(self, priority: Priority) -> bool:
        if priority == "low":
            return True
        patience = PATIENCE if priority == "high" else 1.0
        return self.lateness.turn_s() > self.lateness.target_s * patience

    def _refuse(self, priority: Priority, reason: str) -> Overloaded:
        self.refused[priority, reason] += 1
        return Overloaded(
            f"The gateway is overloaded: {_WHY[reason]}. Send the call again a little later.",
            reason=reason,
            priority=priority,
            retry_after_s=1 + int(self.random.random() * _SPREAD_S),
        )


def gate_without_bounds() -> Gate:
    """One that takes on everything."""
    open_calls: set[Any] = set()
    lateness = Lateness(0.0, lambda: bool(open_calls))
    return Gate(Bounds(sys.maxsize, sys.maxsize), open_calls, lateness, Random(0), time.monotonic)
