"""The local store's numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.tracestore.ledger import Failure, Tally, local_report


@dataclass
class Counts:
    created: int = 0
    unread: int = 0
    lost: dict[str, int] = field(default_factory=dict)


def test_numbers_add_up_and_have_the_agreed_names() -> None:
    """Created is what is stored, left out, given up, in hand or waiting."""
    tally = Tally(stored=50, sampled_out=5, unreadable=2, repeated=10)
    report = local_report("/state/traces.db", tally, Counts(created=100, unread=20, lost={"spool_full": 3}))
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


def test_failure_is_told_with_what_to_do() -> None:
    """An operator reads this first."""
    tally = Tally(is_failing=True, last_success_ns=0, last_failure=Failure(1_000, "disk full"))
    report = local_report("traces.db", tally, Counts())
    assert report["state"] == "retrying"
    assert report["last_success_at"] == "1970-01-01T00:00:00.000000Z"
    assert report["last_error"] is not None
    assert report["last_error"]["at"] == "1970-01-01T00:00:00.000001Z"
    assert report["last_error"]["message"] == "disk full"
    assert report["last_error"]["status"] is None
    assert "state folder" in report["last_error"]["advice"]
