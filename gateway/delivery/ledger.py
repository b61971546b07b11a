"""What became of every span, for one destination.

At any moment: created = exported + rejected + filtered_out + sampled_out + dropped + queued + in_flight +
spooled. `created`, `spooled` and what the spool lost come from the destination's reader; the rest is noted
here, each note moving spans from one count to another. One thread writes a ledger.

The counts go on across restarts: `journal` gives them as of the last frame that was finished whole, and those
of one that was not apart. A ledger begun with that entry continues there: the frame in the middle of which
the process ended is read again, and its spans count once.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import UTC, datetime
from typing import Any, Final

from gateway.delivery.batch import Batch, Refused
from gateway.delivery.journal import Entry
from gateway.delivery.spool import Reader, ReaderCounts

_FINAL: Final = ("exported", "rejected", "filtered_out", "sampled_out")
_DROPPED: Final = "dropped:"
REMOVED: Final = "destination_removed"
"""Why spans are dropped that a destination had not got when it was taken out of the configuration."""


class Ledger:
    """Counts of one destination, in spans.

    Args:
        earlier: What the journal knew at the start.

    Attributes:
        queued: Read from the spool, waiting to be sent or sent again.
        in_flight: In a request that has no answer yet.
        resent: Spans of tries of which no answer is known, each time counted: the connection was lost, or the
            process ended, between the sending and our note of the answer. The endpoint may have them besides
            what is `exported`: twice, as they went out again, or although they were refused or left out then.
        kept_unsampled: Exported or not, spans of calls below the sampling ratio that were kept as an error or
            for being slow.
    """

    def __init__(self, earlier: Entry | None = None) -> None:
        earlier = earlier or Entry(0)
        self.queued = 0
        self.in_flight = 0
        self.resent = earlier.counts.get("resent", 0)
        self.kept_unsampled = earlier.counts.get("kept_unsampled", 0)
        self._final = Counter({name: earlier.counts.get(name, 0) for name in _FINAL})
        self._final.update({_DROPPED + reason: spans for reason, spans in earlier.dropped.items()})
        self._created_before = self._final.total()
        # Of the spans that wait, the oldest: the endpoint may have them.
        self._may_be_repeats = earlier.tried_spans
        # Of the frame that batches so far have begun and not finished.
        self._open: Counter[str] = Counter()
        # The same of a frame that is to be read again.
        self._left_open: Counter[str] = Counter(earlier.done_counts)
        # Of frames that are not done with: the position after each, and its part of `kept_unsampled`.
        self._kept_open: deque[tuple[int, int]] = deque()

    @property
    def tried_spans(self) -> int:
        """How many spans the endpoint may have, from the first frame on that is not finished."""
        return self._open.total() + max(self._may_be_repeats, self.in_flight)

    def queue(self, spans: int) -> None:
        """They were read from the spool."""
        self.queued += spans

    def keep_unsampled(self, position: int, spans: int) -> None:
        """Of the frame before *position* so many are below the sampling ratio, and were kept."""
        if spans:
            self.kept_unsampled += spans
            self._kept_open.append((position, spans))

    def pass_by(self, refused: Refused) -> None:
        """They are in finished frames, and no batch carries them."""
        self.queued -= sum(refused)
        self._pass_repeats(sum(refused))
        self._note(_refused_counts(refused))

    def send(self, batch: Batch) -> None:
        """It is on its way."""
        self.queued -= batch.spans
        self.in_flight += batch.spans

    def return_to_queue(self, batch: Batch, *, is_answered: bool) -> None:
        """The try is over; what follows is a note of what became of it, or another try."""
        self.in_flight -= batch.spans
        self.queued += batch.spans
        if not is_answered:
            self.resent += min(self._may_be_repeats, batch.spans)
            self._may_be_repeats = max(self._may_be_repeats, batch.spans)

    def go_back(self, settled: int, given_up: int) -> None:
        """What was read behind the place *settled* is read again, and nothing is in flight.

        Until `take_up`, a frame that was begun there counts as if nothing of it had been done.

        Args:
            settled: Every frame before it is done with.
            given_up: Spans behind it, the oldest, that cannot be read again.
        """
        # In this order: `tried_spans` is more than the spans that wait.
        self._may_be_repeats = self.tried_spans
        self._pass_repeats(given_up)
        self._final -= self._open
        self._left_open += self._open
        self._open.clear()
        self.queued = 0
        self.kept_unsampled -= sum([spans for position, spans in self._kept_open if position > settled])
        self._kept_open.clear()

    def take_up(self, *, is_there: bool) -> None:
        """The first frame was read after `go_back`; *is_there*: it is the one that was begun.

        What was done of that one then is done with as before, and counts no more as read.
        """
        if is_there:
            self._open, self._left_open = self._left_open, Counter()
            self._final += self._open
            self.queued -= self._open.total()
            self._may_be_repeats = max(0, self._may_be_repeats - self._open.total())
        else:
            self._left_open.clear()

    def end_frame(self) -> None:
        """Every frame so far is finished."""
        self._open.clear()

    def deliver(self, batch: Batch, rejected: int) -> None:
        """The endpoint took it, but for *rejected* spans."""
        rejected = min(rejected, batch.spans)
        self._settle(batch, {"rejected": rejected, "exported": batch.spans - rejected})

    def drop(self, batch: Batch, reason: str) -> None:
        """It cannot be sent."""
        self._settle(batch, {_DROPPED + reason: batch.spans})

    def entry(self, reader: ReaderCounts) -> dict[str, Any]:
        """All counts, as `GET /api/telemetry` shows them."""
        dropped = _dropped(self._final) + Counter(reader.lost)
        return {
            "created": self._created_before + reader.created,
            **{name: self._final[name] for name in _FINAL},
            "dropped": by_reason(dropped),
            "queued": self.queued,
            "in_flight": self.in_flight,
            "spooled": reader.unread,
        }

    def journal(self, reader: Reader, done: bytes = b"") -> Entry:
        """The state to go on from after the end of this process, whatever that will be.

        Args:
            reader: Of the destination.
            done: The ids of the spans of a begun frame that are done with.
        """
        settled = self._final - self._open
        while self._kept_open and self._kept_open[0][0] <= reader.settled:
            self._kept_open.popleft()
        # The frames of the others are read again then.
        kept_unsampled = self.kept_unsampled - sum([spans for _position, spans in self._kept_open])
        return Entry(
            position=reader.settled,
            counts={**self._counts(settled), "kept_unsampled": kept_unsampled},
            dropped=dict(_dropped(settled) + Counter(reader.settled_lost)),
            tried_spans=self.tried_spans,
            spans_before=reader.settled_spans,
            done=done,
            done_counts=dict(self._open or self._left_open) if done else {},
        )

    def retire(self, reader: ReaderCounts) -> Entry:
        """The counts of a destination that is no more: what it has not got is dropped."""
        shown = self.entry(reader)
        dropped = Counter(shown["dropped"]["by_reason"])
        dropped[REMOVED] += shown["queued"] + shown["in_flight"] + shown["spooled"]
        counts = self._counts(self._final)
        counts["resent"] = self.resent + self._may_be_repeats + self.in_flight
        return Entry(0, counts, dict(+dropped), is_retired=True)

    def _counts(self, final: Counter[str]) -> dict[str, int]:
        return {
            **{name: final[name] for name in _FINAL},
            # As if the process ended now: nobody would ever know of an answer to what is in flight.
            "resent": self.resent + min(self._may_be_repeats, self.in_flight),
            "kept_unsampled": self.kept_unsampled,
        }

    def _settle(self, batch: Batch, fates: dict[str, int]) -> None:
        """Count a batch; of a frame that it leaves unfinished also apart, as `journal` leaves that out."""
        ended = batch.spans + sum(batch.refused)
        self.queued -= ended
        self._pass_repeats(ended)
        self._note(fates)
        self._note(_refused_counts(batch.refused))
        if batch.open_spans < batch.spans:
            self._open.clear()
        left = batch.open_spans
        # Which of its spans an endpoint rejected it does not say; the sums are the same whichever.
        for fate, spans in reversed(fates.items()):
            self._open[fate] += min(spans, left)
            left -= min(spans, left)

    def _pass_repeats(self, ended: int) -> None:
        """Of the spans that wait so many, the oldest, do so no more, whatever became of them."""
        repeats = min(self._may_be_repeats, ended)
        self.resent += repeats
        self._may_be_repeats -= repeats

    def _note(self, fates: dict[str, int]) -> None:
        self._final.update({fate: spans for fate, spans in fates.items() if spans})


def retired_entry(name: str, kept: Entry) -> dict[str, Any]:
    """A destination that is no more, as `GET /api/telemetry` shows it."""
    ledger = Ledger(kept)
    return {
        "name": name,
        "signal": "traces",
        "ledger": ledger.entry(ReaderCounts(0, 0, 0, 0, {})),
        "resent_total": ledger.resent,
        "kept_unsampled_total": ledger.kept_unsampled,
    }


def _refused_counts(refused: Refused) -> dict[str, int]:
    return {
        "sampled_out": refused.sampled_out,
        "filtered_out": refused.filtered_out,
        f"{_DROPPED}too_large": refused.too_large,
        f"{_DROPPED}unreadable": refused.unreadable,
    }


def _dropped(counts: Counter[str]) -> Counter[str]:
    found = {
        name.removeprefix(_DROPPED): spans for name, spans in counts.items() if name.startswith(_DROPPED)
    }
    return Counter({reason: spans for reason, spans in found.items() if spans})


def by_reason(counts: Counter[str]) -> dict[str, Any]:
    """A total and its parts."""
    return {"total": counts.total(), "by_reason": dict(counts)}


def rfc3339(at_s: float | None) -> str | None:
    """A Unix time as the API shows it."""
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
