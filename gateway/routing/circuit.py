"""When a target is not asked any more, and when it is again.

A circuit opens when enough of the attempts of late were sick: within the window or within its newest slot, as
a target that was busy and well would else have to fail for half a window. Then its target is left alone for a
while that doubles each time, and after that one call at a time finds out how it does: a good attempt closes
the circuit. A provider's own wish for a pause (`Retry-After`) is kept beside that.

Pure: what the time is and what chance says comes in, and a new `Circuit` goes out. Times are Unix times, and
that clock can be set: no wait is longer than it was to be when it began.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from gateway.model import SkipReason
from gateway.store.target_board import SLOTS, Circuit

CircuitState = Literal["closed", "open", "half_open"]

MAX_PAUSE_S: Final = 3600.0
"""A provider is not left alone for longer than that, whatever it asks for."""

MAX_LEASE_S: Final = 10.0
"""After so long the next call may find out too, whatever became of the one before."""

_SKEW_S: Final = 1.0
"""What began so much in the future began before the clock was set back."""

_LEAST_SHARE: Final = 0.5
_ALL_BITS: Final = 0xFFFF_FFFF

_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When circuits open and for how long: `routing_settings.circuit_breaker`.

    Attributes:
        failures: At least so many sick attempts within the window, or within its newest slot.
        failure_ratio: At least so large a share of those there that were good or sick.
        window_s: How far back attempts count; `SLOTS` slots.
        cool_down_s: How long a target is left alone at first, and at most after many times.
    """

    failures: int = 5
    failure_ratio: float = 0.5
    window_s: float = 30.0
    cool_down_s: float = 1.0
    max_cool_down_s: float = 30.0

    def are_too_many(self, sick: int, good: int) -> bool:
        """Whether so many sick attempts beside so many good ones open a circuit."""
        return sick >= self.failures and sick >= self.failure_ratio * (sick + good)

    def slot(self, now_s: float) -> int:
        """In which slot of time attempts that end now are counted."""
        return int(now_s * SLOTS / self.window_s)


@dataclass(frozen=True, slots=True)
class Counts:
    """Attempts within the window.

    Attributes:
        slot: The newest.
        slot_good: Good ones that ended in it, also such as do not count any more; `slot_sick` sick ones.
        latest_good: Of `good`, those that ended in it; `latest_sick` of `sick`.
    """

    good: int = 0
    sick: int = 0
    slot: int = 0
    slot_good: int = 0
    slot_sick: int = 0
    latest_good: int = 0
    latest_sick: int = 0

    @property
    def error_ratio(self) -> float | None:
        """Which share of them was sick, None of none."""
        attempts = self.good + self.sick
        return self.sick / attempts if attempts else None


def count(parts: Iterable[tuple[int, int, int]], circuit: Circuit, slot: int) -> Counts:
    """Add up what was counted, as far as it came after the circuit was closed.

    Args:
        parts: Slot, good and sick; several of one slot are added up.
        circuit: Says where counting began anew.
        slot: The newest.
    """
    # Slots are numbers of 32 bits that come round; what is before the base is before the closing.
    since_base = (slot - circuit.base_slot) & _ALL_BITS
    is_within = bool(circuit.closed_at_s) and since_base < SLOTS
    good = sick = slot_good = slot_sick = 0
    for part_slot, part_good, part_sick in parts:
        if part_slot == slot:
            slot_good += part_good
            slot_sick += part_sick
        if not is_within or slot - part_slot <= since_base:
            good += part_good
            sick += part_sick
    latest_good, latest_sick = slot_good, slot_sick
    if is_within:
        good = max(0, good - circuit.base_good)
        sick = max(0, sick - circuit.base_sick)
        if not since_base:
            latest_good = max(0, slot_good - circuit.base_good)
            latest_sick = max(0, slot_sick - circuit.base_sick)
    return Counts(good, sick, slot, slot_good, slot_sick, latest_good, latest_sick)


def state_of(circuit: Circuit, now_s: float) -> CircuitState:
    """Whether the target may be asked: closed, it may; half open, by one call at a time."""
    if not circuit.is_open:
        return "closed"
    return "open" if _lasts(circuit.opened_at_s, circuit.until_s, now_s) else "half_open"


def refusal(circuit: Circuit, now_s: float) -> SkipReason | None:
    """Why the target is not to be asked now, None when it may be."""
    if circuit.is_open and (
        _lasts(circuit.opened_at_s, circuit.until_s, now_s)
        or _lasts(circuit.leased_at_s, circuit.leased_until_s, now_s)
    ):
        return "circuit"
    return "cool_down" if _lasts(circuit.paused_at_s, circuit.paused_until_s, now_s) else None


def wait_s(circuit: Circuit, now_s: float) -> float:
    """How long until it may be, 0.0 when it may be now."""
    ends = [now_s]
    if circuit.is_open and _lasts(circuit.opened_at_s, circuit.until_s, now_s):
        ends.append(circuit.until_s)
    if circuit.is_open and _lasts(circuit.leased_at_s, circuit.leased_until_s, now_s):
        ends.append(circuit.leased_until_s)
    if _lasts(circuit.paused_at_s, circuit.paused_until_s, now_s):
        ends.append(circuit.paused_until_s)
    return max(ends) - now_s


def leased(circuit: Circuit, now_s: float, lease_s: float) -> Circuit:
    """A call is let through to a half-open one."""
    return _replace(circuit, leased_at_s=now_s, leased_until_s=now_s + min(lease_s, MAX_LEASE_S))


def unleased(circuit: Circuit) -> Circuit:
    """That call says nothing of the target, so the next may be let through."""
    return _replace(circuit, leased_at_s=0.0, leased_until_s=0.0)


def paused(circuit: Circuit, now_s: float, pause_s: float) -> Circuit:
    """The provider asked not to be asked for *pause_s*; a longer wish of before stays."""
    until_s = now_s + min(pause_s, MAX_PAUSE_S)
    if _lasts(circuit.paused_at_s, circuit.paused_until_s, now_s) and circuit.paused_until_s >= until_s:
        return circuit
    return _replace(circuit, paused_at_s=now_s, paused_until_s=until_s)


def tidied(circuit: Circuit, now_s: float) -> Circuit:
    """Without a pause that is over, so that a look at the target is short again."""
    if not circuit.paused_until_s or _lasts(circuit.paused_at_s, circuit.paused_until_s, now_s):
        return circuit
    return unpaused(circuit)


def unpaused(circuit: Circuit) -> Circuit:
    """Without any pause."""
    return _replace(circuit, paused_at_s=0.0, paused_until_s=0.0)


def is_changed_by_good(circuit: Circuit, now_s: float) -> bool:
    """Whether a good attempt may make another circuit of it."""
    return circuit.is_open or tidied(circuit, now_s) is not circuit


def counts_as_sick(circuit: Circuit, began_s: float, now_s: float) -> bool:
    """Whether a failure that began at *began_s* is counted; one of before the circuit closed is old news."""
    return not began_s < circuit.closed_at_s <= now_s + _SKEW_S


def after_sick(
    circuit: Circuit, began_s: float, now_s: float, counts: Counts, rules: CircuitRules, chance: float
) -> Circuit:
    """What a sick attempt makes of a circuit.

    Args:
        circuit: As it was.
        began_s: When the attempt began.
        now_s: When it ended.
        counts: With this attempt.
        rules: When circuits open.
        chance: From 0.0 to 1.0, so that not all that was left alone is asked again at one moment.
    """
    if not circuit.is_open:
        if not (
            rules.are_too_many(counts.sick, counts.good)
            or rules.are_too_many(counts.latest_sick, counts.latest_good)
        ):
            return circuit
        return _opened(circuit, now_s, rules.cool_down_s, chance)
    if not _is_news(circuit, began_s, now_s):
        return circuit
    return _opened(circuit, now_s, min(2 * circuit.cool_down_s, rules.max_cool_down_s), chance)


def after_good(circuit: Circuit, began_s: float, now_s: float, counts: Counts) -> Circuit:
    """What a good attempt makes of a circuit."""
    if not circuit.is_open or not _is_news(circuit, began_s, now_s):
        return circuit
    return closed(circuit, now_s, counts)


def closed(circuit: Circuit, at_s: float, counts: Counts) -> Circuit:
    """The target does again: what was counted before counts no more."""
    return Circuit(
        opened_at_s=circuit.opened_at_s,
        paused_at_s=circuit.paused_at_s,
        paused_until_s=circuit.paused_until_s,
        closed_at_s=at_s,
        base_slot=counts.slot & _ALL_BITS,
        base_good=counts.slot_good,
        base_sick=counts.slot_sick,
        openings=circuit.openings,
    )


def _opened(circuit: Circuit, now_s: float, cool_down_s: float, chance: float) -> Circuit:
    length_s = cool_down_s * (_LEAST_SHARE + (1 - _LEAST_SHARE) * chance)
    return _replace(
        circuit,
        is_open=True,
        opened_at_s=now_s,
        until_s=now_s + length_s,
        cool_down_s=cool_down_s,
        leased_at_s=0.0,
        leased_until_s=0.0,
        openings=(circuit.openings + 1) & _ALL_BITS,
    )


def _is_news(circuit: Circuit, began_s: float, now_s: float) -> bool:
    """Whether an attempt says how the target of an open circuit does now.

    Only when it has been left alone long enough, and not by what was begun before the circuit opened: that
    may have waited for its time limit since.
    """
    if _lasts(circuit.opened_at_s, circuit.until_s, now_s):
        return False
    return began_s >= circuit.opened_at_s or circuit.opened_at_s > now_s + _SKEW_S


def _lasts(since_s: float, until_s: float, now_s: float) -> bool:
    """Whether a wait is not over; one from the future began before the clock was set back, and is."""
    return since_s - _SKEW_S <= now_s < until_s
