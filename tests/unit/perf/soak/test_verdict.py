"""What a soak must show: each rule with one run that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from perf.soak.faults import KILL_WORKER, Happened
from perf.soak.sampling import Held, Life, Told
from perf.soak.verdict import (
    judged,
    rule_calls,
    rule_ledgers,
    rule_memory,
    rule_sockets,
    rule_spans,
    rule_tasks,
)
from tests.rig.mixed_load import Ended, Tally

KILLS = [Happened(KILL_WORKER, 100.0, 101.0)]


def life(mb_per_min: float, *, sockets: int = 8, began_s: float = 0.0, length_s: int = 900) -> Life:
    found = Life(1, "worker", began_s)
    for at_s in range(int(began_s), int(began_s) + length_s, 5):
        found.at_s.append(float(at_s))
        busy = 30 if 10 < at_s < 800 else 0
        found.held.append(
            Held(100.0 + (at_s - began_s) / 60 * mb_per_min, busy + (sockets if at_s > 800 else 8), 9)
        )
    return found


def test_memory() -> None:
    """Under a megabyte a minute."""
    [good] = rule_memory(judged([life(0.9)], 300, 300, 900))
    [bad] = rule_memory(judged([life(1.1)], 300, 300, 900))
    assert (good.holds, bad.holds) == (True, False)


def test_who_is_judged() -> None:
    """Who lived long enough after the warm-up; what comes at rest does not count."""
    assert judged([life(5.0, length_s=400)], 300, 300, 900) == {}
    assert judged([life(5.0, began_s=500.0)], 300, 300, 900) == {}
    assert len(judged([life(5.0, length_s=700)], 300, 300, 900)) == 1


def test_sockets() -> None:
    """At rest there are not many more than before the first call."""
    [good] = rule_sockets([life(0, sockets=12)], 800, 11)
    [bad] = rule_sockets([life(0, sockets=40)], 800, 11)
    assert (good.holds, bad.holds) == (True, False)
    assert rule_sockets([life(0, began_s=50.0)], 800, 11) == []


def test_tasks() -> None:
    """The same of tasks."""
    before = Told(5.0, 20, 0, {})
    assert rule_tasks([before, Told(900.0, 22, 0, {})], 11).holds
    assert not rule_tasks([before, Told(900.0, 60, 0, {})], 11).holds


def tally(*failed: Ended, begun: int = 5) -> Tally:
    found = Tally()
    found.begun["chat"] = begun
    found.right["chat"] = 5 - len(failed)
    found.failed += failed
    return found


def test_calls() -> None:
    """A call may fail when its worker is killed under it, and at no other time."""
    killed = Ended("chat", 99.0, 100.5, "reset", was_cut=True)
    assert [one.holds for one in rule_calls(tally(killed), KILLS)] == [True, True]
    late = Ended("chat", 150.0, 151.0, "reset", was_cut=True)
    assert [one.holds for one in rule_calls(tally(late), KILLS)] == [True, False]
    wrong = Ended("chat", 99.0, 100.5, "500")
    assert [one.holds for one in rule_calls(tally(wrong), KILLS)] == [True, False]
    assert [one.holds for one in rule_calls(tally(begun=6), KILLS)] == [False, True]


def telemetry(**more: Any) -> dict[str, Any]:
    ledger = {
        "created": 10, "exported": 10, "rejected": 0, "filtered_out": 0, "sampled_out": 0, "queued": 0,
        "in_flight": 0, "spooled": 0, "dropped": {"total": 0, "by_reason": {}}, **more,
    }  # fmt: skip
    return {"destinations": [{"name": "sink", "signal": "traces", "ledger": ledger}, {"signal": "metrics"}]}


@pytest.mark.parametrize(
    ("more", "holds"),
    [
        ({}, True),
        ({"exported": 9}, False),
        ({"exported": 9, "dropped": {"total": 1, "by_reason": {"spool_full": 1}}}, False),
        ({"exported": 8, "spooled": 2}, False),
        ({"exported": 0, "created": 0}, False),
    ],
)
def test_ledgers(more: dict[str, Any], holds: bool) -> None:  # noqa: FBT001 - a column of the table
    """What was made has been exported."""
    assert [one.holds for one in rule_ledgers(telemetry(**more))] == [holds]


def test_spans() -> None:
    """What a killed worker had not handed over may be missing, as much as is counted, and nothing else."""
    seen = Tally()
    seen.due = {"a": (2, 50.0), "b": (2, 100.2)}
    both, one = {"a": 2, "b": 2}, {"a": 2}
    assert all(ruling.holds for ruling in rule_spans(seen, both, {}, KILLS))
    assert all(ruling.holds for ruling in rule_spans(seen, one, {"worker_lost": 2}, KILLS))
    assert [ruling.holds for ruling in rule_spans(seen, one, {}, KILLS)] == [False, True, True]
    other = {"b": 2}
    assert [ruling.holds for ruling in rule_spans(seen, other, {"worker_lost": 2}, KILLS)] == [
        True,
        False,
        True,
    ]
    dropped = {"unacknowledged_full": 1}
    assert [ruling.holds for ruling in rule_spans(seen, both, dropped, KILLS)] == [True, True, False]
