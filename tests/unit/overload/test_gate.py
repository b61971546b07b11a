"""What a worker takes on, and whom it refuses first."""

from __future__ import annotations

from random import Random

import pytest

from gateway.errors import Overloaded
from gateway.overload.gate import PATIENCE, Bounds, Gate, gate_without_bounds
from gateway.overload.lateness import Lateness
from gateway.overload.priorities import ORDER, Priority

TARGET_S = 0.05
SHARES: dict[Priority, float] = {"high": 1.0, "normal": 0.8, "low": 0.5}


class Rig:
    """A gate of ten calls and a thousand bytes, on a clock of its own."""

    def __init__(self, shares: dict[Priority, float] | None = None) -> None:
        self.now_s = 100.0
        self.open: set[int] = set()
        self.lateness = Lateness(TARGET_S, lambda: True, lambda: self.now_s)
        self.gate = Gate(Bounds(10, 1000), self.open, self.lateness, Random(3), lambda: self.now_s)
        if shares is not None:
            self.gate.take_shares(shares)

    def let_in(self, count: int) -> None:
        self.open.clear()
        self.open.update(range(count))

    def admitted(self) -> list[Priority]:
        return [priority for priority in ORDER if self.gate.refusal(priority) is None]

    def fall_behind(self, turn_s: float) -> None:
        self.lateness.is_behind = True
        self.lateness.turned_s = self.now_s - turn_s


@pytest.mark.parametrize(
    ("inside", "is_tight", "admitted"),
    [
        (4, False, ["high", "normal", "low"]),
        (5, True, ["high", "normal"]),
        (7, True, ["high", "normal"]),
        (8, True, ["high"]),
        (9, True, ["high"]),
        (10, True, []),
        (11, True, []),
    ],
)
def test_calls_in_flight(inside: int, admitted: list[Priority], *, is_tight: bool) -> None:
    """Each priority up to its share of the bound."""
    rig = Rig(SHARES)
    rig.let_in(inside)
    assert rig.gate.is_tight == is_tight
    assert rig.admitted() == admitted
    assert set(rig.gate.refused) == {(one, "in_flight") for one in ORDER if one not in admitted}


def test_all_are_alike_without_rules() -> None:
    """The bound is the bound."""
    rig = Rig()
    rig.let_in(9)
    assert (rig.gate.is_tight, rig.admitted()) == (False, ["high", "normal", "low"])
    rig.let_in(10)
    assert (rig.gate.is_tight, rig.admitted()) == (True, [])


@pytest.mark.parametrize(
    ("turn_s", "admitted"),
    [
        (0.0, ["high", "normal"]),
        (TARGET_S * 0.9, ["high", "normal"]),
        (TARGET_S * 1.1, ["high"]),
        (TARGET_S * PATIENCE * 0.9, ["high"]),
        (TARGET_S * PATIENCE * 1.1, []),
    ],
)
def test_loop_that_is_behind(turn_s: float, admitted: list[Priority]) -> None:
    """`low` is refused, the others by how long the present turn has lasted."""
    rig = Rig()
    rig.fall_behind(turn_s)
    assert (rig.gate.is_tight, rig.admitted()) == (True, admitted)
    assert set(rig.gate.refused) == {(one, "cpu") for one in ORDER if one not in admitted}


def test_long_turn_of_a_loop_that_is_not_behind() -> None:
    """One long piece of work refuses nobody."""
    rig = Rig()
    rig.lateness.turned_s = rig.now_s - 10
    assert rig.admitted() == list(ORDER)


def test_refusals_are_counted_and_spread() -> None:
    """By priority and reason; whoever is refused is told to wait 1 to 3 seconds, not all the same."""
    rig = Rig()
    rig.let_in(10)
    refusals = [rig.gate.refusal("normal") for _ in range(50)]
    waits = [dict(one.headers)["retry-after"] for one in refusals if one is not None]
    assert set(waits) == {"1", "2", "3"}
    assert rig.gate.refused == {("normal", "in_flight"): 50}
    assert refusals[0] is not None
    assert (refusals[0].reason, refusals[0].priority) == ("in_flight", "normal")


def test_a_call_inside_does_not_count_against_itself() -> None:
    """Asked once more when its priority is known."""
    rig = Rig(SHARES)
    rig.let_in(5)
    rig.gate.check_inside("low")
    rig.let_in(6)
    rig.gate.check_inside("normal")
    with pytest.raises(Overloaded, match="calls in flight"):
        rig.gate.check_inside("low")


def test_input_that_is_held() -> None:
    """Up to a share of the bound; what was let go makes room."""
    rig = Rig(SHARES)
    gate = rig.gate
    gate.hold(500, lambda: "low")
    with pytest.raises(Overloaded, match="requests in flight are as large"):
        gate.hold(1, lambda: "low")
    gate.hold(300, lambda: "normal")
    with pytest.raises(Overloaded):
        gate.hold(1, lambda: "normal")
    gate.hold(200, lambda: "high")
    assert gate.input_bytes == 1000
    gate.let_go(600)
    gate.hold(100, lambda: "low")
    assert gate.refused == {("low", "input_bytes"): 1, ("normal", "input_bytes"): 1}


def test_what_is_alone_is_held() -> None:
    """However long: the bound of a single body is another."""
    rig = Rig()
    rig.gate.hold(2000, lambda: "normal")
    with pytest.raises(Overloaded):
        rig.gate.hold(1, lambda: "normal")
    rig.gate.let_go(2000)
    rig.gate.hold(1, lambda: "normal")


def test_priority_is_asked_only_where_it_matters() -> None:
    """Finding it costs more than the rest."""

    def never() -> Priority:
        raise AssertionError

    rig = Rig(SHARES)
    rig.gate.hold(500, never)
    assert rig.gate.input_bytes == 500


def test_traces_of_refusals_are_few() -> None:
    """Ten a second, whatever comes."""
    rig = Rig()
    assert [rig.gate.may_trace() for _ in range(12)] == [True] * 10 + [False] * 2
    rig.now_s += 0.9
    assert not rig.gate.may_trace()
    rig.now_s += 0.1
    assert rig.gate.may_trace()


def test_gate_without_bounds() -> None:
    """It refuses nobody."""
    gate = gate_without_bounds()
    gate.open.update(range(10_000))
    gate.hold(10**12, lambda: "low")
    gate.hold(10**12, lambda: "low")
    assert not gate.is_tight
    assert gate.refusal("low") is None
