"""How much load, and the bounds that keep this a tool for one's own machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_CONNECTIONS: Final = 1024
MAX_SECONDS: Final = 120.0
MAX_REQUESTS: Final = 5_000_000
MAX_RPS: Final = 20_000.0


class UnsafeTargetError(ValueError):
    """The target or the amount of load is not one this tool will send."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much load; the first bound that is reached ends it.

    Attributes:
        seconds: None: bound by count only.
        requests: None: bound by time only.
        rps: Calls begin at this rate whatever the server does (open loop); None: each connection sends its
            next call when it has the answer to the last (closed loop).
    """

    connections: int = 32
    seconds: float | None = None
    requests: int | None = None
    rps: float | None = None

    def check(self) -> None:
        """Refuse what is unbounded or too much.

        Raises:
            UnsafeTargetError: With the bound that was exceeded.
        """
        if self.seconds is None and self.requests is None:
            raise UnsafeTargetError("give seconds or requests: load without a bound is refused")
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            raise UnsafeTargetError(f"connections must be 1 to {MAX_CONNECTIONS}")
        if self.seconds is not None and not 0 < self.seconds <= MAX_SECONDS:
            raise UnsafeTargetError(f"seconds must be above 0 and at most {MAX_SECONDS:g}")
        if self.requests is not None and not 1 <= self.requests <= MAX_REQUESTS:
            raise UnsafeTargetError(f"requests must be 1 to {MAX_REQUESTS}")
        if self.rps is not None and not 0 < self.rps <= MAX_RPS:
            raise UnsafeTargetError(f"the rate must be above 0 and at most {MAX_RPS:g} per second")
        if self.rps is not None and self.seconds is not None and self.rps * self.seconds < 1:
            raise UnsafeTargetError("at this rate not one call is due in that time")
