"""A circuit's life, on a clock that the tests hold."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.routing import circuit as circuits
from gateway.routing.circuit import MAX_LEASE_S, MAX_PAUSE_S, CircuitRules, Counts
from gateway.store.target_board import CLOSED, SLOTS, Circuit

RULES: Final = CircuitRules(
    failures=5, failure_ratio=0.5, window_s=30.0, cool_down_s=1.0, max_cool_down_s=30.0
)
NOW_S: Final = 1_000_000.0
MANY: Final = Counts(good=0, sick=5)


def opened(cool_down_s: float = 1.0, *, at_s: float = NOW_S) -> Circuit:
    """One that opened at *at_s*, for as long as it can by chance."""
    return Circuit(is_open=True, opened_at_s=at_s, until_s=at_s + cool_down_s, cool_down_s=cool_down_s)


@pytest.mark.parametrize(
    ("good", "sick", "expected"),
    [
        pytest.param(0, 4, False, id="too few"),
        pytest.param(0, 5, True, id="all of them"),
        pytest.param(5, 5, True, id="half of them"),
        pytest.param(6, 5, False, id="less than half"),
        pytest.param(1000, 100, False, id="many, but a small share"),
    ],
)
def test_opening(*, good: int, sick: int, expected: bool) -> None:
    """It takes both: enough sick attempts, and enough of all."""
    after = circuits.after_sick(CLOSED, NOW_S - 0.1, NOW_S, Counts(good, sick), RULES, 0.5)
    assert after.is_open is expected
    assert (circuits.refusal(after, NOW_S) == "circuit") is expected


@pytest.mark.parametrize(
    ("latest_good", "latest_sick", "expected"),
    [
        pytest.param(0, 5, True, id="all of the newest"),
        pytest.param(5, 5, True, id="half of the newest"),
        pytest.param(6, 5, False, id="less than half of them"),
        pytest.param(0, 4, False, id="too few of them"),
    ],
)
def test_opening_of_a_busy_target(*, latest_good: int, latest_sick: int, expected: bool) -> None:
    """What was good for half a minute does not hide that it has broken down."""
    counts = Counts(1000, latest_sick, latest_good=latest_good, latest_sick=latest_sick)
    after = circuits.after_sick(CLOSED, NOW_S - 0.1, NOW_S, counts, RULES, 0.5)
    assert after.is_open is expected


@pytest.mark.parametrize(("chance", "expected_s"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_cool_down_has_jitter(chance: float, expected_s: float) -> None:
    """Chance makes it shorter, down to half, and never longer."""
    after = circuits.after_sick(CLOSED, NOW_S, NOW_S, MANY, RULES, chance)
    assert after.until_s - NOW_S == pytest.approx(expected_s)
    assert circuits.wait_s(after, NOW_S) == pytest.approx(expected_s)
    assert circuits.state_of(after, NOW_S + expected_s - 0.001) == "open"
    assert circuits.state_of(after, NOW_S + expected_s) == "half_open"
    assert circuits.wait_s(after, NOW_S + expected_s) == 0.0


def test_failed_probes_double_the_cool_down_to_its_most() -> None:
    """1, 2, 4, 8, 16 and then 30 s, however often."""
    circuit = circuits.after_sick(CLOSED, NOW_S, NOW_S, MANY, RULES, 1.0)
    lengths = []
    for _ in range(8):
        lengths.append(circuit.until_s - circuit.opened_at_s)
        now_s = circuit.until_s
        circuit = circuits.leased(circuit, now_s, 10.0)
        circuit = circuits.after_sick(circuit, now_s, now_s + 0.2, MANY, RULES, 1.0)
    assert lengths == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


def test_one_probe_at_a_time() -> None:
    """A lease keeps all others out until its attempt has ended or its time is over."""
    half_open_s = NOW_S + 1.0
    leased = circuits.leased(opened(), half_open_s, 300.0)
    assert circuits.refusal(opened(), half_open_s) is None
    assert circuits.refusal(leased, half_open_s) == "circuit"
    assert circuits.wait_s(leased, half_open_s) == MAX_LEASE_S
    assert circuits.refusal(leased, half_open_s + MAX_LEASE_S) is None
    assert circuits.refusal(circuits.leased(opened(), half_open_s, 2.0), half_open_s + 2.0) is None
    assert circuits.refusal(circuits.unleased(leased), half_open_s) is None


def test_a_good_probe_closes() -> None:
    """One is enough, and the next opening begins with the shortest cool-down again."""
    began_s = NOW_S + 8.0
    probing = circuits.leased(opened(8.0), began_s, 10.0)
    after = circuits.after_good(probing, began_s, began_s + 0.5, Counts(slot=7, slot_good=3, slot_sick=5))
    assert circuits.state_of(after, began_s + 0.5) == "closed"
    assert (after.closed_at_s, after.base_slot, after.base_good, after.base_sick) == (began_s + 0.5, 7, 3, 5)
    again = circuits.after_sick(after, began_s + 1, began_s + 1, MANY, RULES, 1.0)
    assert again.cool_down_s == 1.0


@pytest.mark.parametrize(
    ("began_s", "ended_s"),
    [
        pytest.param(NOW_S - 60, NOW_S + 2, id="begun before it opened"),
        pytest.param(NOW_S - 60, NOW_S + 0.5, id="begun before, ended in the cool-down"),
        pytest.param(NOW_S + 0.1, NOW_S + 0.5, id="asked by its own name in the cool-down"),
    ],
)
def test_old_news_change_nothing(began_s: float, ended_s: float) -> None:
    """Neither does a slow failure of before double the cool-down, nor a lucky success end it."""
    assert circuits.after_sick(opened(), began_s, ended_s, MANY, RULES, 1.0) == opened()
    assert circuits.after_good(opened(), began_s, ended_s, Counts()) == opened()


def test_failures_of_before_it_closed_are_not_counted() -> None:
    """What hung while the target was sick ends later, and would open the circuit again."""
    closed = Circuit(closed_at_s=NOW_S)
    assert not circuits.counts_as_sick(closed, NOW_S - 1, NOW_S + 5)
    assert circuits.counts_as_sick(closed, NOW_S + 1, NOW_S + 5)
    assert circuits.counts_as_sick(CLOSED, NOW_S - 1, NOW_S)


def test_counting_begins_anew_when_it_closes() -> None:
    """What opened it does not open it again, to the attempt, also within one slot of time."""
    parts = [(98, 10, 4), (99, 2, 1), (100, 3, 6), (100, 1, 0)]
    whole = Counts(16, 11, 100, slot_good=4, slot_sick=6, latest_good=4, latest_sick=6)
    assert circuits.count(parts, CLOSED, 100) == whole
    base = Circuit(closed_at_s=NOW_S, base_slot=100, base_good=4, base_sick=5)
    assert circuits.count(parts, base, 100) == Counts(0, 1, 100, slot_good=4, slot_sick=6, latest_sick=1)
    later = [*parts, (101, 5, 2)]
    assert circuits.count(later, base, 101) == Counts(
        5, 3, 101, slot_good=5, slot_sick=2, latest_good=5, latest_sick=2
    )
    long_ago = msgspec.structs.replace(base, base_slot=100 - SLOTS)
    assert circuits.count(parts, long_ago, 100) == whole


def test_pause() -> None:
    """The provider's wish is kept, the longest of several, and at most an hour."""
    circuit = circuits.paused(CLOSED, NOW_S, 20.0)
    assert circuits.refusal(circuit, NOW_S + 19.9) == "cool_down"
    assert circuits.refusal(circuit, NOW_S + 20.0) is None
    assert circuits.paused(circuit, NOW_S + 1, 5.0) is circuit
    assert circuits.wait_s(circuits.paused(circuit, NOW_S + 1, 60.0), NOW_S + 1) == 60.0
    assert circuits.wait_s(circuits.paused(CLOSED, NOW_S, 1e9), NOW_S) == MAX_PAUSE_S
    assert circuits.tidied(circuit, NOW_S + 19) is circuit
    assert circuits.tidied(circuit, NOW_S + 20) == CLOSED
    assert not circuits.is_changed_by_good(circuit, NOW_S + 19)
    assert circuits.is_changed_by_good(circuit, NOW_S + 20)
    assert circuits.is_changed_by_good(opened(), NOW_S)


def test_the_circuit_is_the_reason_before_the_pause() -> None:
    """Where both hold, the longer wait counts."""
    both = circuits.paused(opened(5.0), NOW_S, 20.0)
    assert circuits.refusal(both, NOW_S) == "circuit"
    assert circuits.refusal(both, NOW_S + 5) == "cool_down"
    assert circuits.wait_s(both, NOW_S) == 20.0


@given(
    jump_s=st.floats(-1e7, 1e7),
    cool_down_s=st.floats(0.1, 30.0),
    pause_s=st.floats(0.0, 7200.0),
    has_lease=st.booleans(),
)
@example(jump_s=-1.0, cool_down_s=10.261568572706869, pause_s=0.0, has_lease=False)
def test_no_jump_of_the_clock_keeps_it_open(
    *, jump_s: float, cool_down_s: float, pause_s: float, has_lease: bool
) -> None:
    """Wherever it is set to, no wait is longer than it was for, and a second; then a call can close it.

    The sum of a time and a wait is rounded, to less than a microsecond.
    """
    circuit = circuits.paused(opened(cool_down_s), NOW_S, pause_s)
    if has_lease:
        circuit = circuits.leased(circuit, NOW_S, 300.0)
    now_s = NOW_S + jump_s
    wait_s = circuits.wait_s(circuit, now_s)
    assert wait_s <= max(cool_down_s, MAX_LEASE_S, min(pause_s, MAX_PAUSE_S)) + 1.000001
    later_s = now_s + wait_s
    assert circuits.wait_s(circuit, later_s) < 0.001
    after = circuits.after_good(circuit, later_s + 0.001, later_s + 0.002, Counts())
    assert circuits.refusal(after, later_s + 0.002) is None
    assert circuits.state_of(after, later_s + 0.002) == "closed"


def test_slots_are_a_tenth_of_the_window() -> None:
    """So that a window holds ten of them."""
    assert RULES.slot(NOW_S + 30.0) - RULES.slot(NOW_S) == SLOTS
    assert RULES.slot(300.0) == RULES.slot(302.9) == RULES.slot(303.0) - 1
