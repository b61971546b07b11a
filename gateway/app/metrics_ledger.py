"""What became of every data point, for each destination of metrics, also across a restart of control.

At any moment: created = exported + rejected + dropped + queued + in_flight. The counts of all destinations
are in one small file, written anew with each request, so that they go on whatever ends the process.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.delivery.ledger import REMOVED, by_reason

# Names that were configured once; the oldest of more are forgotten.
_MAX_DESTINATIONS: Final = 256

SUPERSEDED: Final = "superseded"
"""Why points are dropped that waited, where the next request has fewer of them."""
SHUTDOWN: Final = "shutdown"
"""Why points are dropped that waited when the process ended."""

_log: Final = logging.getLogger(__name__)


class _Counts(msgspec.Struct, array_like=True):
    """One destination, as it is in the file."""

    exported: int
    rejected: int
    dropped: dict[str, int]
    waiting: int


class MetricsLedger:
    """The counts of one destination, in data points.

    Args:
        note: Called whenever they have changed.

    Attributes:
        is_removed: The destination is no longer configured.
    """

    def __init__(self, note: Callable[[], None] = lambda: None) -> None:
        self._note = note
        self.created = 0
        self.exported = 0
        self.rejected = 0
        self.dropped: Counter[str] = Counter()
        self.queued = 0
        self.in_flight = 0
        self.is_removed = False

    def begin(self, points: int) -> None:
        """They are about to go out, those among them that failed before."""
        if points >= self.queued:
            self.created += points - self.queued
        else:
            self.dropped[SUPERSEDED] += self.queued - points
        self.queued, self.in_flight = 0, points
        self._note()

    def deliver(self, points: int, rejected: int) -> None:
        """The endpoint took them, but for *rejected*."""
        rejected = min(rejected, points)
        self.in_flight -= points
        self.exported += points - rejected
        self.rejected += rejected
        self._note()

    def drop(self, points: int, reason: str) -> None:
        """The endpoint does not want them."""
        self.in_flight -= points
        self.dropped[reason] += points
        self._note()

    def keep(self) -> None:
        """What is left waits for the next try."""
        self.queued, self.in_flight = self.queued + self.in_flight, 0
        self._note()

    def give_up(self) -> None:
        """There will be no next try."""
        if self.queued:
            self.dropped[SHUTDOWN] += self.queued
            self.queued = 0
            self._note()

    def retire(self) -> int:
        """The destination is no more.

        Returns:
            How many points it had not got, which are dropped.
        """
        left = self.queued + self.in_flight
        self.is_removed = True
        self.queued = self.in_flight = 0
        if left:
            self.dropped[REMOVED] += left
            self._note()
        return left

    def entry(self) -> dict[str, Any]:
        """As `GET /api/telemetry` shows it."""
        return {
            "created": self.created,
            "exported": self.exported,
            "rejected": self.rejected,
            "filtered_out": 0,
            "sampled_out": 0,
            "dropped": by_reason(self.dropped),
            "queued": self.queued,
            "in_flight": self.in_flight,
            "spooled": 0,
        }

    def go_on(self, counts: _Counts) -> None:
        """Begin where an earlier process ended: what waited or was under way there waits."""
        self.exported, self.rejected = counts.exported, counts.rejected
        self.dropped, self.queued = Counter(counts.dropped), counts.waiting
        self.created = self.exported + self.rejected + self.dropped.total() + self.queued

    def counts(self) -> _Counts:
        """As the file has it."""
        return _Counts(self.exported, self.rejected, dict(self.dropped), self.queued + self.in_flight)


class MetricsLedgers:
    """The ledgers by the name of their destination. Used on one event loop.

    A name that is no more in the configuration keeps its counts for when it comes back.

    Args:
        file: Where they are kept; one that cannot be read is as none.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._is_failing = False
        self._ledgers: dict[str, MetricsLedger] = {}
        kept: dict[str, _Counts] = {}
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            kept = msgspec.msgpack.decode(file.read_bytes(), type=dict[str, _Counts])
        for name, counts in kept.items():
            self.of(name).go_on(counts)

    def of(self, name: str) -> MetricsLedger:
        """The ledger of a destination."""
        ledger = self._ledgers.pop(name, None) or MetricsLedger(self._keep)
        self._ledgers[name] = ledger  # to the end: the order is by last use
        ledger.is_removed = False
        if len(self._ledgers) > _MAX_DESTINATIONS:
            del self._ledgers[next(iter(self._ledgers))]
        return ledger

    def retire_others(self, names: Collection[str]) -> None:
        """Only destinations of these *names* are configured."""
        for name, ledger in self._ledgers.items():
            if name in names or ledger.is_removed:
                continue
            if left := ledger.retire():
                _log.warning(
                    "metrics destination %s is no more; dropped, as it had not got them: %d data points",
                    name,
                    left,
                )

    def removed(self) -> list[dict[str, Any]]:
        """The destinations that are no more, as `GET /api/telemetry` shows them."""
        return [
            {"name": name, "signal": "metrics", "ledger": ledger.entry()}
            for name, ledger in list(self._ledgers.items())
            if ledger.is_removed
        ]

    def _keep(self) -> None:
        """Write the file. A failure is logged once: it costs the counts if control ends now."""
        fresh = self._file.with_suffix(".new")
        kept = {name: ledger.counts() for name, ledger in self._ledgers.items()}
        try:
            fresh.write_bytes(msgspec.msgpack.encode(kept))
            fresh.replace(self._file)
        except OSError as error:
            if not self._is_failing:
                _log.warning("the ledger of the metrics cannot be kept: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False
