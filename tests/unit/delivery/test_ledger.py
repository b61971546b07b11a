"""The ledger adds up after any series of notes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.ledger import Failure, Ledger, rfc3339, show_failure
from gateway.delivery.spool import ReaderCounts


def total(entry: dict[str, Any]) -> int:
    parts = ["exported", "rejected", "filtered_out", "sampled_out", "queued", "in_flight", "spooled"]
    return int(sum(entry[part] for part in parts) + entry["dropped"]["total"])


@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.sampled_from("sdrx"), st.integers(0, 30)), max_size=30)
)
def test_every_span_is_in_one_count(steps: list[tuple[int, str, int]]) -> None:
    """Whatever becomes of them, and at every moment between."""
    ledger = Ledger()
    created = 0

    def check(unread: int = 0, lost: int = 0) -> None:
        lost_by_reason = {"spool_full": lost} if lost else {}
        counts = ReaderCounts(created + unread + lost, created, 0, unread, lost_by_reason)
        assert total(ledger.entry(counts)) == counts.created

    for spans, fate, number in steps:
        created += spans
        ledger.queue(spans)
        check(unread=number, lost=spans)
        if fate == "s":
            ledger.sample_out(spans)
            continue
        ledger.send(spans)
        check()
        ledger.return_to_queue(spans)
        check()
        if fate == "d":
            ledger.drop_queued(spans, f"http_{number}")
        elif fate == "r":
            ledger.deliver(spans, number, at_s=1.0)
        check()
    assert all(count >= 0 for count in ledger.dropped.values())


def test_what_the_spool_lost_is_dropped_by_its_reason() -> None:
    """Both kinds of drops are shown together."""
    ledger = Ledger()
    ledger.queue(3)
    ledger.drop_queued(3, "http_400")
    entry = ledger.entry(ReaderCounts(10, 3, 0, 2, {"spool_full": 5}))
    assert entry["dropped"] == {"total": 8, "by_reason": {"http_400": 3, "spool_full": 5}}


def test_nothing_is_no_reason() -> None:
    """A reason is shown once something was dropped for it."""
    ledger = Ledger()
    ledger.drop_queued(0, "too_large")
    assert ledger.entry(ReaderCounts(0, 0, 0, 0, {}))["dropped"] == {"total": 0, "by_reason": {}}


def test_times_are_rfc_3339_in_utc() -> None:
    """As everywhere in the API."""
    assert rfc3339(1_700_000_000.0625) == "2023-11-14T22:13:20.062Z"
    assert rfc3339(None) is None


def test_a_failure_as_the_api_shows_it() -> None:
    """When, what, and what to do."""
    assert show_failure(None) is None
    assert show_failure(Failure(1_700_000_000.0, 401, "no key", "give one")) == {
        "at": "2023-11-14T22:13:20.000Z",
        "status": 401,
        "message": "no key",
        "advice": "give one",
    }
