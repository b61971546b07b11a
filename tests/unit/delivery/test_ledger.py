"""The ledger adds up after any series of notes, and goes on across the end of a process."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.batch import Batch, Refused, Run
from gateway.delivery.journal import Entry
from gateway.delivery.ledger import Ledger, retired_entry, rfc3339
from gateway.delivery.spool import ReaderCounts
from gateway.wire.frames import SpanSegments


class FakeReader:
    """What a ledger asks of a reader."""

    def __init__(self, settled: int, lost: dict[str, int] | None = None) -> None:
        self.settled = settled
        self.settled_lost = lost or {}
        self.settled_spans = 2 * settled


def total(entry: dict[str, Any]) -> int:
    parts = ["exported", "rejected", "filtered_out", "sampled_out", "queued", "in_flight", "spooled"]
    return int(sum(entry[part] for part in parts) + entry["dropped"]["total"])


def batch(*completes: int, start: int = 0, refused: Refused | None = None) -> Batch:
    """One span for each number: the position that it completes, 0 for none."""
    span = SpanSegments(b"", b"")
    return Batch([Run(b"", [span], 2, at, refused or Refused()) for at in completes], b"", start)


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 20),
            st.integers(0, 5),
            st.sampled_from(["filter", "drop", "deliver", "retry"]),
            st.integers(0, 30),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_every_span_is_in_one_count(steps: list[tuple[int, int, str, int, bool]]) -> None:
    """Whatever becomes of them, at every moment between, and after a new start at any of them."""
    ledger = Ledger()
    created = 0
    position = 0

    def check(unread: int = 0, lost: int = 0) -> None:
        by_reason = {"spool_full": lost} if lost else {}
        counts = ReaderCounts(created + unread + lost, created, 0, unread, by_reason)
        entry = ledger.entry(counts)
        assert total(entry) == entry["created"] == counts.created

    for spans, left_out, fate, number, is_whole in steps:
        refused = Refused(filtered_out=left_out)
        created += spans + left_out
        ledger.queue(spans + left_out)
        check(unread=number, lost=spans)
        if fate == "filter":
            ledger.pass_by(Refused(sampled_out=spans + left_out))
            check()
            continue
        position += 1
        one = batch(*[0] * (spans - 1), position if is_whole else 0, refused=refused)
        ledger.send(one)
        check()
        ledger.return_to_queue(one, is_answered=fate != "retry")
        check()
        if fate == "deliver":
            ledger.deliver(one, number)
        else:
            ledger.drop(one, "non_retryable_400")
        if not is_whole:  # in truth it would come with the batch that ends the frame
            ledger.pass_by(refused)
        check()
        again = Ledger(ledger.journal(FakeReader(position)))  # type: ignore[arg-type]
        entry = again.entry(ReaderCounts(0, 0, 0, 0, {}))
        assert total(entry) == entry["created"] <= created


def test_a_frame_in_two_batches_counts_once_however_the_process_ends() -> None:
    """Between the two its first half is exported, and not yet in the journal, as it will be sent again."""
    ledger = Ledger()
    ledger.queue(3)
    first, second = batch(0, 0), batch(7)
    ledger.send(first)
    ledger.return_to_queue(first, is_answered=True)
    ledger.deliver(first, rejected=1)
    entry = ledger.journal(FakeReader(0))  # type: ignore[arg-type]
    assert (entry.counts["exported"], entry.counts["rejected"], entry.tried_spans) == (0, 0, 2)
    ledger.send(second)
    assert ledger.journal(FakeReader(0)).tried_spans == 3  # type: ignore[arg-type]
    ledger.return_to_queue(second, is_answered=True)
    ledger.deliver(second, rejected=0)
    entry = ledger.journal(FakeReader(7))  # type: ignore[arg-type]
    assert (entry.counts["exported"], entry.counts["rejected"], entry.tried_spans) == (2, 1, 0)


def test_what_was_tried_before_a_crash_counts_as_resent_once() -> None:
    """It may have arrived before: exported once, and said."""
    ledger = Ledger(Entry(5, {"exported": 10}, {"spool_full": 1}, tried_spans=3))
    ledger.queue(4)
    for one in (batch(0, 0), batch(0, 6)):
        ledger.send(one)
        ledger.return_to_queue(one, is_answered=True)
        ledger.deliver(one, rejected=0)
    assert ledger.resent == 3
    entry = ledger.entry(ReaderCounts(4, 4, 0, 0, {}))
    assert (entry["created"], entry["exported"], entry["dropped"]["total"]) == (15, 14, 1)


def test_what_goes_out_again_after_a_lost_answer_is_counted_each_time() -> None:
    """The endpoint may have it from every try that had no answer, whatever was answered between."""
    ledger = Ledger()
    ledger.queue(3)
    one = batch(0, 1)
    for is_answered, resent in ((False, 0), (True, 0), (False, 2)):
        ledger.send(one)
        ledger.return_to_queue(one, is_answered=is_answered)
        assert (ledger.resent, ledger.tried_spans) == (resent, 2)
    ledger.send(one)
    ledger.return_to_queue(one, is_answered=True)
    ledger.deliver(one, rejected=0)
    assert (ledger.resent, ledger.tried_spans) == (4, 0)
    assert ledger.entry(ReaderCounts(3, 3, 0, 0, {}))["exported"] == 2
    other = batch(2)
    ledger.send(other)
    ledger.return_to_queue(other, is_answered=True)
    ledger.deliver(other, rejected=0)
    assert ledger.resent == 4


def test_two_crashes_forget_no_try() -> None:
    """What is in flight again is a repeat, answered or not, and hides no larger try before it."""
    ledger = Ledger(Entry(5, tried_spans=3))
    ledger.queue(3)
    one = batch(6)
    ledger.send(one)
    kept = ledger.journal(FakeReader(5))  # type: ignore[arg-type]
    assert (kept.tried_spans, kept.counts["resent"]) == (3, 1)
    ledger.return_to_queue(one, is_answered=True)
    ledger.deliver(one, rejected=0)
    kept = ledger.journal(FakeReader(6))  # type: ignore[arg-type]
    assert (kept.tried_spans, kept.counts["resent"]) == (2, 1)


def test_a_refused_try_is_no_repeat() -> None:
    """When the endpoint has said no, the next try is not a second delivery."""
    ledger = Ledger()
    ledger.queue(1)
    one = batch(1)
    ledger.send(one)
    assert ledger.tried_spans == 1
    ledger.return_to_queue(one, is_answered=True)
    assert ledger.tried_spans == 0


def test_what_the_spool_lost_is_dropped_by_its_reason() -> None:
    """Both kinds of drops are shown together, and kept together."""
    ledger = Ledger()
    ledger.queue(3)
    ledger.pass_by(Refused(unreadable=3))
    entry = ledger.entry(ReaderCounts(10, 3, 0, 2, {"spool_full": 5}))
    assert entry["dropped"] == {"total": 8, "by_reason": {"unreadable": 3, "spool_full": 5}}
    kept = ledger.journal(FakeReader(9, {"spool_full": 5}))  # type: ignore[arg-type]
    assert kept.dropped == {"unreadable": 3, "spool_full": 5}
    assert (kept.position, kept.spans_before) == (9, 18)


def test_kept_spans_are_counted_once_however_often_their_frame_is_read() -> None:
    """A frame that is not done with is read again after a new start, and counted then."""
    ledger = Ledger(Entry(3, {"kept_unsampled": 5}))
    for position, spans in ((4, 2), (5, 0), (6, 1)):
        ledger.keep_unsampled(position, spans)
    assert ledger.kept_unsampled == 8
    kept = [ledger.journal(FakeReader(at)).counts["kept_unsampled"] for at in (3, 4, 5, 6)]  # type: ignore[arg-type]
    assert kept == [5, 7, 7, 8]
    assert ledger.retire(ReaderCounts(0, 0, 0, 0, {})).counts["kept_unsampled"] == 8


@pytest.mark.parametrize("given_up", [0, 1, 9])
def test_what_is_read_anew_counts_once(given_up: int) -> None:
    """What was delivered of a frame that is not there any more is taken to be of what is."""
    ledger = Ledger(Entry(0, {"exported": 5}))
    ledger.queue(3)
    ledger.keep_unsampled(7, 3)
    first, second = batch(0, 0), batch(7)
    ledger.send(first)
    ledger.return_to_queue(first, is_answered=True)
    ledger.deliver(first, rejected=1)
    ledger.go_back(0, given_up)
    entry = ledger.entry(ReaderCounts(3, 0, 0, 3, {}))
    assert (entry["exported"], entry["rejected"], entry["queued"], entry["spooled"]) == (5, 0, 0, 3)
    assert (total(entry), ledger.kept_unsampled) == (entry["created"], 0)
    ledger.queue(3)
    for one in (first, second):
        ledger.send(one)
        ledger.return_to_queue(one, is_answered=True)
        ledger.deliver(one, rejected=0)
    entry = ledger.entry(ReaderCounts(3, 3, 0, 0, {}))
    assert (entry["exported"], total(entry), ledger.resent) == (8, entry["created"], 2)


@pytest.mark.parametrize("end", ["refused", "passed by", "left out of a batch", "removed"])
def test_what_may_have_arrived_and_is_not_exported_is_told(end: str) -> None:
    """An endpoint never has more than what is exported and what is told so."""
    ledger = Ledger()
    ledger.queue(3)
    one = batch(0, 0, 1)
    ledger.send(one)
    ledger.return_to_queue(one, is_answered=False)
    assert (ledger.resent, ledger.tried_spans) == (0, 3)
    reader = ReaderCounts(3, 3, 0, 0, {})
    if end == "removed":
        assert ledger.retire(reader).counts["resent"] == 3
        return
    if end == "refused":
        ledger.drop(one, "non_retryable_400")
    elif end == "passed by":
        ledger.pass_by(Refused(filtered_out=3))
    else:
        ledger.deliver(batch(1, refused=Refused(filtered_out=2)), rejected=0)
    assert (ledger.resent, ledger.tried_spans) == (3, 0)
    assert total(ledger.entry(reader)) == 3


def test_what_was_done_of_a_frame_stays_so_when_it_is_read_anew() -> None:
    """It waits with the rest until then, and may be lost with it; no crash counts it twice."""
    ledger = Ledger(Entry(0, {"exported": 5}))
    ledger.queue(3)
    first = batch(0, 0)
    ledger.send(first)
    ledger.return_to_queue(first, is_answered=True)
    ledger.deliver(first, rejected=1)
    for _ in range(2):  # an error may come between the two
        ledger.go_back(0, 0)
    assert (ledger.entry(ReaderCounts(3, 0, 0, 3, {}))["exported"], ledger.tried_spans) == (5, 2)
    ledger.queue(3)
    ledger.take_up(is_there=True)
    kept = ledger.journal(FakeReader(0))  # type: ignore[arg-type]
    assert (kept.counts["exported"], kept.tried_spans) == (5, 2)
    entry = ledger.entry(ReaderCounts(3, 0, 3, 0, {}))
    assert (entry["exported"], entry["rejected"], entry["queued"]) == (6, 1, 1)
    ledger.pass_by(Refused(filtered_out=1))
    ledger.end_frame()
    kept = ledger.journal(FakeReader(7))  # type: ignore[arg-type]
    assert (kept.counts["exported"], kept.counts["rejected"], kept.tried_spans) == (6, 1, 0)
    assert ledger.resent == 0


def test_nothing_is_no_reason() -> None:
    """A reason is shown once something was dropped for it."""
    ledger = Ledger()
    ledger.pass_by(Refused())
    assert ledger.entry(ReaderCounts(0, 0, 0, 0, {}))["dropped"] == {"total": 0, "by_reason": {}}


def test_times_are_rfc_3339_in_utc() -> None:
    """As everywhere in the API."""
    assert rfc3339(1_700_000_000.0625) == "2023-11-14T22:13:20.062Z"
    assert rfc3339(None) is None


def test_what_a_removed_destination_had_not_got_is_dropped() -> None:
    """Queued, on its way or unread: it was created, so it must end somewhere."""
    ledger = Ledger(Entry(5, {"exported": 10, "resent": 2, "kept_unsampled": 3}))
    ledger.queue(5)
    ledger.send(batch(0, 0))
    kept = ledger.retire(ReaderCounts(9, 0, 5, 3, {"spool_full": 1}))
    assert (kept.is_retired, kept.dropped) == (True, {"spool_full": 1, "destination_removed": 8})
    shown = retired_entry("x", kept)
    assert (shown["ledger"]["created"], shown["resent_total"], shown["kept_unsampled_total"]) == (19, 4, 3)
    assert total(shown["ledger"]) == 19


def test_a_removed_destination_that_had_all_has_dropped_nothing() -> None:
    """No reason without spans."""
    assert Ledger(Entry(5, {"exported": 10})).retire(ReaderCounts(0, 0, 0, 0, {})).dropped == {}
