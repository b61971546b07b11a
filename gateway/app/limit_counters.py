"""The counters of limits: for control, which looks at them and charges nothing, and in metrics."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.model import Charge, Correction, Decision
from gateway.store.counter_table import FILE_NAME, ReadCounters, open_counters_to_read
from gateway.telemetry.instruments import LIMIT_DROPS, LIMIT_MISSED_TURNS, LIMITS_DECIDED_HERE
from gateway.wire.frames import MetricPoint

if TYPE_CHECKING:
    from gateway.store.redis_counters import RedisCounters

_TIMEOUT_S: Final = 1.0
"""Nobody's call waits for it, and control is busy at times."""

_log: Final = logging.getLogger(__name__)


class HostFigures:
    """`gateway.store.redis_counters.LocalCounters` that are never changed."""

    def __init__(self, counters: ReadCounters | None) -> None:
        """Look at *counters*, None where they cannot be used: nothing is counted then."""
        self._counters = counters

    def usage(self, charges: Sequence[Charge]) -> Decision:
        """What is counted."""
        if self._counters is None:
            return Decision(None, (0,) * len(charges), (inf,) * len(charges), 0.0)
        return self._counters.usage(charges)

    def reserve(self, charges: Sequence[Charge]) -> Decision:
        """Nothing is taken."""
        return self.usage(charges)

    def settle(self, corrections: Sequence[Correction]) -> None:
        """Nothing was taken."""

    def raise_to(self, totals: Sequence[tuple[Charge, int]]) -> None:
        """Workers do that."""

    def points(self) -> Iterator[MetricPoint]:
        """What the workers' counters have lost or put off; nothing where they cannot be used."""
        if self._counters is not None:
            for reason, count in self._counters.drops.items():
                yield LIMIT_DROPS.point(count, reason)
            yield LIMIT_MISSED_TURNS.point(self._counters.missed_turns)


def shared_points(counters: RedisCounters) -> Iterator[MetricPoint]:
    """What a worker decided without the server of all replicas, and what that will never be told."""
    for reason, count in counters.decided_here.items():
        yield LIMITS_DECIDED_HERE.point(count, reason)
    yield LIMIT_DROPS.point(counters.unshared, "owed_full")


def open_figures(state_dir: Path) -> HostFigures:
    """Those of the state folder."""
    path = state_dir / FILE_NAME
    try:
        return HostFigures(open_counters_to_read(path))
    except OSError as error:
        _log.warning("%s cannot be used: %s; what is used of limits is not shown", path, error)
        return HostFigures(None)


def shared_figures(redis_url: str | None, figures: HostFigures) -> RedisCounters | None:
    """Those of all replicas, None where there are none; not started."""
    if redis_url is None:
        return None
    # It needs a library that comes with an extra.
    from gateway.store.redis_counters import RedisCounters  # noqa: PLC0415 - see above

    return RedisCounters(redis_url, figures, timeout_s=_TIMEOUT_S)
