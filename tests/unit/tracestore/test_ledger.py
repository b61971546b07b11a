"""The local store's numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.tracestore.ledger import Failure, StoreState, Totals, begin, local_report


@dataclass
class Counts:
    created: int = 0
    unread: int = 0
    lost: dict[str, int] = field(default_factory=dict)


def test_numbers_add_up_and_have_the_agreed_names() -> None:
    """Created is what is stored, left out, given up, in hand or waiting."""
    state = StoreState(stored=50, sampled_out=5, unreadable=2, repeated=10)
    report = local_report("/state/traces.db", state, Counts(created=100, unread=20, lost={"spool_full": 3}))
    assert report["ledger"] == {
        "created": 90,
        "exported": 50,
        "rejected": 0,
        "filtered_out": 0,
        "sampled_out": 5,
        "dropped": {"total": 5, "by_reason": {"spool_full": 3, "unreadable": 2}},
        "queued": 0,
        "in_flight": 10,
        "spooled": 20,
    }
    assert (report["name"], report["signal"], report["state"]) == ("local", "traces", "ok")
    assert (report["last_success_at"], report["last_error"]) == (None, None)


def test_counts_go_on_where_an_earlier_process_ended() -> None:
    """What it had done is created and ended, and adds up with what is new."""
    earlier = Totals(50, 5, 2, {"spool_full": 3})
    assert Totals.from_rows({"position": 9, **dict(earlier.to_rows())}) == earlier
    report = local_report("traces.db", begin(earlier), Counts(created=8, unread=4, lost={"spool_full": 1}))
    ledger = report["ledger"]
    assert (ledger["created"], ledger["exported"], ledger["sampled_out"]) == (68, 50, 5)
    assert ledger["dropped"] == {"total": 6, "by_reason": {"spool_full": 4, "unreadable": 2}}
    assert (ledger["in_flight"], ledger["spooled"]) == (3, 4)
    assert begin(earlier).totals({}) == earlier
    assert earlier.plus(stored=1, sampled_out=2, unreadable=3) == Totals(51, 7, 5, {"spool_full": 3})


def test_store_that_has_no_counts_begins_at_zero() -> None:
    """As one does that an older gateway made."""
    assert Totals.from_rows({"position": 9}) == Totals()
    assert Totals().created == 0


def test_failure_is_told_with_what_to_do() -> None:
    """An operator reads this first."""
    state = StoreState(is_failing=True, last_success_ns=0, last_failure=Failure(1_000, "disk full"))
    report = local_report("traces.db", state, Counts())
    assert report["state"] == "retrying"
    assert report["last_success_at"] == "1970-01-01T00:00:00.000000Z"
    assert report["last_error"] is not None
    assert report["last_error"]["at"] == "1970-01-01T00:00:00.000001Z"
    assert report["last_error"]["message"] == "disk full"
    assert report["last_error"]["status"] is None
    assert "state folder" in report["last_error"]["advice"]
