"""What became of every span that reached the local store, as `GET /api/telemetry` shows it. Pure.

The numbers always add up: created is what is stored, left out, given up, in hand or still in the spool. They
go on across restarts: the store keeps them with its position in the spool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypedDict

from gateway.tracestore.timestamps import format_rfc3339

DESTINATION: str = "local"
_COUNTS: Final = ("stored", "sampled_out", "unreadable")
_LOST: Final = "lost:"


class SpoolCounts(Protocol):
    """What the spool knows of a reader's spans."""

    @property
    def created(self) -> int:
        """Spans that came to the reader: unread ones when it began, and all since."""

    @property
    def unread(self) -> int:
        """Spans that it has not read yet."""

    @property
    def lost(self) -> Mapping[str, int]:
        """Spans that it will never see, by reason."""


class SpoolPlace(Protocol):
    """What belongs to the place in the spool after a frame that is in hand."""

    @property
    def spans_before(self) -> int | None:
        """Spans in all frames up to there, None when not known."""

    @property
    def lost(self) -> Mapping[str, int]:
        """Of them, those that the reader has never seen, by reason."""


class Dropped(TypedDict):
    """Spans given up."""

    total: int
    by_reason: dict[str, int]


class LedgerReport(TypedDict):
    """The ledger of one destination, in spans."""

    created: int
    exported: int
    rejected: int
    filtered_out: int
    sampled_out: int
    dropped: Dropped
    queued: int
    in_flight: int
    spooled: int


class LastError(TypedDict):
    """The last failure of a destination."""

    at: str
    status: int | None
    message: str
    advice: str


class LocalReport(TypedDict):
    """The local store as one of the destinations."""

    name: str
    signal: str
    endpoint: str
    protocol: str
    state: str
    ledger: LedgerReport
    last_success_at: str | None
    last_error: LastError | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that failed."""

    at_ns: int
    message: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What became of all spans up to a position in the spool, whichever process saw to it.

    Attributes:
        stored: Written to the store; what it has deleted since is among them.
        lost: Of the spool, never seen here, by reason.
    """

    stored: int = 0
    sampled_out: int = 0
    unreadable: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def created(self) -> int:
        """All of them."""
        return self.stored + self.sampled_out + self.unreadable + sum(self.lost.values())

    def plus(self, *, stored: int, sampled_out: int, unreadable: int) -> Totals:
        """These and some more."""
        return Totals(
            self.stored + stored, self.sampled_out + sampled_out, self.unreadable + unreadable, self.lost
        )

    def to_rows(self) -> list[tuple[str, int]]:
        """Names and values as the store keeps them."""
        lost = [(f"{_LOST}{reason}", spans) for reason, spans in self.lost.items()]
        return [(name, getattr(self, name)) for name in _COUNTS] + lost

    @classmethod
    def from_rows(cls, rows: Mapping[str, int]) -> Totals:
        """What `to_rows` gave; rows of other names are not looked at, and missing ones are 0."""
        lost = {name.removeprefix(_LOST): spans for name, spans in rows.items() if name.startswith(_LOST)}
        return cls(**{name: rows.get(name, 0) for name in _COUNTS}, lost=lost)


@dataclass(frozen=True, slots=True)
class StoreState:
    """What the writer has done so far, in spans. Replaced as a whole, so that any thread may read it.

    Attributes:
        earlier: What the processes before this one had done; `stored`, `sampled_out` and `unreadable` go on
            from there.
        repeated: Came again and were here already; not counted as created.
        failures: Failed writes, each of which was or is tried again.
        is_failing: The last try failed.
    """

    earlier: Totals = field(default_factory=Totals)
    stored: int = 0
    sampled_out: int = 0
    unreadable: int = 0
    repeated: int = 0
    failures: int = 0
    is_failing: bool = False
    last_success_ns: int | None = None
    last_failure: Failure | None = field(default=None)

    def totals(self, lost: Mapping[str, int]) -> Totals:
        """These counts, with what the spool has lost in this process."""
        return Totals(
            self.stored, self.sampled_out, self.unreadable, dict(Counter(self.earlier.lost) + Counter(lost))
        )


def begin(earlier: Totals) -> StoreState:
    """The state of a process that goes on where *earlier* ends."""
    return StoreState(earlier, earlier.stored, earlier.sampled_out, earlier.unreadable)


def local_report(endpoint: str, state: StoreState, spool: SpoolCounts) -> LocalReport:
    """The local store's entry. *state* was read before *spool*, or work done meanwhile would count twice."""
    by_reason = dict(state.totals(spool.lost).lost)
    if state.unreadable:
        by_reason["unreadable"] = state.unreadable
    dropped = sum(by_reason.values())
    created = state.earlier.created + spool.created - state.repeated
    in_hand = created - state.stored - state.sampled_out - dropped - spool.unread
    failure = state.last_failure
    return {
        "name": DESTINATION,
        "signal": "traces",
        "endpoint": endpoint,
        "protocol": "sqlite",
        "state": "retrying" if state.is_failing else "ok",
        "ledger": {
            "created": created,
            "exported": state.stored,
            "rejected": 0,
            "filtered_out": 0,
            "sampled_out": state.sampled_out,
            "dropped": {"total": dropped, "by_reason": by_reason},
            "queued": 0,
            "in_flight": in_hand,
            "spooled": spool.unread,
        },
        "last_success_at": None if state.last_success_ns is None else format_rfc3339(state.last_success_ns),
        "last_error": None
        if failure is None
        else {
            "at": format_rfc3339(failure.at_ns),
            "status": None,
            "message": failure.message,
            "advice": "Give the state folder room and the right to write; the store tries again by itself.",
        },
    }
