"""What became of every span, for one destination.

At any moment: created = exported + rejected + filtered_out + sampled_out + dropped + queued + in_flight +
spooled. `created`, `spooled` and what the spool lost come from the destination's reader; the rest is noted
here, each note moving spans from one count to another. One thread writes a ledger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from gateway.delivery.spool import ReaderCounts

State = Literal["ok", "retrying", "paused", "disabled"]


@dataclass(frozen=True, slots=True)
class Failure:
    """What last went wrong.

    Attributes:
        at_s: Unix time.
        status: HTTP status, None without an answer.
        message: In words, without secrets.
        advice: What an operator can do about it.
    """

    at_s: float
    status: int | None
    message: str
    advice: str


class Ledger:
    """Counts of one destination, in spans.

    Attributes:
        queued: Read from the spool, waiting to be sent or sent again.
        in_flight: In a request that has no answer yet.
        filtered_out: Kept back by a filter of the destination.
        sampled_out: Not meant for the destination.
        last_success_s: Unix time of the last delivered batch, None before the first.
    """

    def __init__(self) -> None:
        self.state: State = "ok"
        self.exported = 0
        self.rejected = 0
        self.filtered_out = 0
        self.sampled_out = 0
        self.queued = 0
        self.in_flight = 0
        self.dropped: Counter[str] = Counter()
        self.last_success_s: float | None = None
        self.last_failure: Failure | None = None

    def queue(self, spans: int) -> None:
        """They were read from the spool."""
        self.queued += spans

    def sample_out(self, spans: int) -> None:
        """They are not for this destination."""
        self.queued -= spans
        self.sampled_out += spans

    def drop_queued(self, spans: int, reason: str) -> None:
        """They cannot be sent."""
        self.queued -= spans
        self._drop(spans, reason)

    def send(self, spans: int) -> None:
        """They are on their way."""
        self.queued -= spans
        self.in_flight += spans

    def return_to_queue(self, spans: int) -> None:
        """The try is over; what follows is a note of what became of it, or another try."""
        self.in_flight -= spans
        self.queued += spans

    def deliver(self, spans: int, rejected: int, at_s: float) -> None:
        """The endpoint took them, but for *rejected* ones."""
        rejected = min(rejected, spans)
        self.queued -= spans
        self.exported += spans - rejected
        self.rejected += rejected
        self.last_success_s = at_s

    def fail(self, failure: Failure) -> None:
        """Note why something went wrong."""
        self.last_failure = failure

    def entry(self, reader: ReaderCounts) -> dict[str, Any]:
        """All counts, as `GET /api/telemetry` shows them."""
        dropped = self.dropped + Counter(reader.lost)
        return {
            "created": reader.created,
            "exported": self.exported,
            "rejected": self.rejected,
            "filtered_out": self.filtered_out,
            "sampled_out": self.sampled_out,
            "dropped": by_reason(dropped),
            "queued": self.queued,
            "in_flight": self.in_flight,
            "spooled": reader.unread,
        }

    def _drop(self, spans: int, reason: str) -> None:
        if spans:
            self.dropped[reason] += spans


def by_reason(counts: Counter[str]) -> dict[str, Any]:
    """A total and its parts."""
    return {"total": counts.total(), "by_reason": dict(counts)}


def rfc3339(at_s: float | None) -> str | None:
    """A Unix time as the API shows it."""
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_failure(failure: Failure | None) -> dict[str, Any] | None:
    """A failure as the API shows it."""
    if failure is None:
        return None
    return {
        "at": rfc3339(failure.at_s),
        "status": failure.status,
        "message": failure.message,
        "advice": failure.advice,
    }
