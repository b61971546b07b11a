"""The ledger of metrics adds up, and goes on whatever ends the process."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import metrics_ledger
from gateway.app.metrics_ledger import MetricsLedger, MetricsLedgers


def total(ledger: MetricsLedger) -> int:
    entry = ledger.entry()
    parts = ("exported", "rejected", "queued", "in_flight")
    return int(sum(entry[part] for part in parts) + entry["dropped"]["total"])


STEPS = st.sampled_from(["begin", "deliver", "drop", "keep", "give_up", "retire", "kill"])


@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_it_adds_up_at_any_moment(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Also in a process after a killed one; nothing that was created is forgotten."""
    file = tmp_path_factory.mktemp("ledger") / "ledger"
    ledger = MetricsLedgers(file).of("a")
    for step, points, rejected in steps:
        created = ledger.created
        part = min(points, ledger.in_flight)
        match step:
            case "begin" if not ledger.in_flight:
                ledger.begin(points)
            case "deliver":
                ledger.deliver(part, rejected)
            case "drop":
                ledger.drop(part, "x")
            case "keep":
                ledger.keep()
            case "give_up":
                ledger.give_up()
            case "retire":
                ledger.retire()
            case "kill":
                ledger = MetricsLedgers(file).of("a")
                assert ledger.created == created
        assert ledger.created == total(ledger)


def test_a_destination_that_comes_back_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of a name are kept while it is away; the oldest names are forgotten when there are many."""
    monkeypatch.setattr(metrics_ledger, "_MAX_DESTINATIONS", 3)
    ledgers = MetricsLedgers(tmp_path / "ledger")
    ledgers.of("a").begin(4)
    ledgers.of("a").deliver(4, 0)
    for name in ("b", "c", "a"):
        ledgers.of(name).begin(1)
    assert MetricsLedgers(tmp_path / "ledger").of("a").created == 5
    ledgers.of("d").begin(1)
    assert MetricsLedgers(tmp_path / "ledger").of("b").created == 0


@pytest.mark.parametrize("is_restarted", [False, True], ids=["at once", "while control was away"])
def test_what_a_removed_destination_had_not_got_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_restarted: bool
) -> None:
    """It is counted and told once, and stays when the destination comes back."""
    ledgers = MetricsLedgers(tmp_path / "ledger")
    for name in ("a", "b"):
        ledgers.of(name).begin(4)
    ledgers.of("a").deliver(1, 0)
    if is_restarted:
        ledgers = MetricsLedgers(tmp_path / "ledger")
    for _ in range(2):
        ledgers.retire_others({"b"})
    [entry] = ledgers.removed()
    assert (entry["name"], entry["signal"]) == ("a", "metrics")
    assert entry["ledger"]["dropped"] == {"total": 3, "by_reason": {"destination_removed": 3}}
    assert ledgers.of("b").dropped.total() == 0
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.endswith("a is no more; dropped, as it had not got them: 3 data points")
    assert total(MetricsLedgers(tmp_path / "ledger").of("a")) == total(ledgers.of("a")) == 4
    assert ledgers.removed() == []


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x81\xa1a\x01", b"\x81\xa1\xff\x94\0\0\x80\0"])
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """The counts begin at zero."""
    (tmp_path / "ledger").write_bytes(content)
    assert MetricsLedgers(tmp_path / "ledger").of("a").created == 0


def test_a_disk_that_fails_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The counts go on in memory."""
    ledger = MetricsLedgers(tmp_path / "absent" / "ledger").of("a")
    for _ in range(2):
        ledger.begin(1)
        ledger.deliver(1, 0)
    assert (ledger.exported, len(caplog.records)) == (2, 1)
    (tmp_path / "absent").mkdir()
    ledger.begin(1)
    assert MetricsLedgers(tmp_path / "absent" / "ledger").of("a").created == 3
