"""How the targets do: which are not to be asked now, and how quick the others are.

What is known of a target is on a board that all processes of a host share; here is what it means. Planning
asks for two bytes of it, and only where these say that something is the matter for more. An attempt that went
well is counted without a lock; one that did not, and whatever changes a circuit, takes the target's turn.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway.model import Outcome, SkipReason, Target
from gateway.routing import circuit as circuits
from gateway.routing.circuit import CircuitRules, CircuitState, Counts
from gateway.routing.route import TargetTimes
from gateway.store.target_board import SLOTS, Circuit, Sample, TargetBoard

LONGEST_WINDOW_S: Final = 1200.0

_FRESH_S: Final = 1.0
_SAMPLED_EVERY_S: Final = 0.01
_FRESH_SHARE: Final = 10
_MOST_GROUPS: Final = 4096
_SAME_S: Final = 0.05
"""By so much an attempt may seem to have begun before it was let through: two clocks measure that."""

_NO_COUNTS: Final = Counts()
_NO_TIMES: Final = TargetTimes()

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TargetReport:
    """How one target does.

    Attributes:
        state: Of its circuit.
        refusal: Why it is not asked now by calls that could be given another, None when it is.
        wait_s: Until that is over, 0.0 when nobody knows.
        opened_at_s: Unix time at which its circuit opened last, None when it is closed.
        openings: How often it has.
        counts: Attempts within the window of the rules.
        times: Within `LONGEST_WINDOW_S`.
    """

    state: CircuitState = "closed"
    is_drained: bool = False
    refusal: SkipReason | None = None
    wait_s: float = 0.0
    opened_at_s: float | None = None
    openings: int = 0
    counts: Counts = _NO_COUNTS
    times: TargetTimes = _NO_TIMES


@dataclass(frozen=True, slots=True)
class _Recent:
    """The samples of one target within a window, kept for a moment.

    Attributes:
        made_s: When it was worked out.
        written: How many samples there had been.
    """

    times: TargetTimes
    first_tokens_ms: tuple[float, ...]
    made_s: float
    written: int

    def is_fresh(self, now_s: float, written: int) -> bool:
        """Whether it is of this second, and no more than a tenth of the samples is new since."""
        is_of_now = 0 <= now_s - self.made_s < _FRESH_S
        return is_of_now and (written - self.written) * _FRESH_SHARE <= self.times.samples


class Health:
    """`HealthView` for planning, `AttemptObserver` for the attempts; on a board in memory or a shared one.

    Attributes:
        rules: When circuits open; replaced when the configuration changes.
    """

    def __init__(
        self,
        board: TargetBoard,
        rules: CircuitRules | None = None,
        *,
        now_s: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        """Prepare.

        Args:
            board: Where it is kept.
            rules: When circuits open.
            now_s: Unix time.
            random: How long exactly they stay so.
        """
        self.rules = rules or CircuitRules()
        self._board = board
        self._now_s = now_s
        self._random = random or Random()
        self._generation = board.generation
        self._places: dict[str, int] = {}
        # Of what is asked about together, as that is asked of every call.
        self._groups: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._recents: dict[tuple[str, float], _Recent] = {}
        self._probes: dict[str, float] = {}
        # Of a target that just had a sample: its place, where its good attempts are counted, and until when
        # they are counted and no more.
        self._sampled: dict[str, tuple[int, int, float]] = {}

    def are_well(self, names: tuple[str, ...]) -> bool:
        """Whether all of them may be asked now; what is the matter with one, `skip_reason` tells."""
        places = self._groups.get(names)
        if places is None:
            generation = self._board.generation
            places = tuple(map(self._place_of, names))
            if self._board.generation != generation:
                # One has taken the place of another.
                return False
            if len(self._groups) >= _MOST_GROUPS:
                self._groups.clear()
            self._groups[names] = places
        return self._board.are_quiet(places, self._generation)

    def skip_reason(self, name: str) -> SkipReason | None:
        """Why the target is not to be asked now, None when it may be; one to be probed may be."""
        board = self._board
        place = self._place_of(name)
        if board.is_quiet(place):
            return None
        if board.is_drained(place):
            return "drained"
        return circuits.refusal(board.circuit(place), self._now_s())

    def wait_s(self, name: str) -> float:
        """How long until it may be asked again, 0.0 when it may be or nobody knows."""
        board = self._board
        place = self._place_of(name)
        if board.is_quiet(place) or board.is_drained(place):
            return 0.0
        return circuits.wait_s(board.circuit(place), self._now_s())

    def times(self, name: str, *, window_s: float) -> TargetTimes:
        """How quick it was within *window_s*; up to a second or a tenth of the samples behind."""
        return self._recent(name, window_s).times

    def first_tokens_ms(self, name: str, *, window_s: float) -> Sequence[float]:
        """How long each stream within *window_s* took to its first token, the shortest first; as recent."""
        return self._recent(name, window_s).first_tokens_ms

    def admit(self, target: Target) -> SkipReason | None:
        """Take leave to begin an attempt at *target*; None when it may begin.

        To a target whose circuit is half open one call at a time is let through, on all processes together.
        """
        board = self._board
        place = self._place_of(target.name)
        if board.is_quiet(place):
            return None
        if board.is_drained(place):
            return "drained"
        now_s = self._now_s()
        circuit = board.circuit(place)
        reason = circuits.refusal(circuit, now_s)
        if reason is not None or not circuit.is_open:
            return reason
        with board.turn(place):
            circuit = board.circuit(place)
            reason = circuits.refusal(circuit, now_s)
            if reason is None and circuit.is_open:
                board.put(place, circuits.leased(circuit, now_s, target.limits.first_token_s))
                self._probes[target.name] = now_s
        return reason

    def went_well(self, target: Target) -> bool:
        """Count a good attempt; True where it was not, since `ended` is to know its times too.

        A busy target has more samples than it needs: one every hundredth of a second will do.
        """
        sampled = self._sampled.get(target.name)
        if sampled is None:
            return True
        place, where, until_s = sampled
        # A clock that was set back must not make this last for hours.
        if not 0 < until_s - self._now_s() < 2 * _SAMPLED_EVERY_S:
            return True
        return not self._board.count_again(place, where)

    def ended(self, target: Target, outcome: Outcome) -> None:
        """Note how an attempt went, also one that nobody was asked about."""
        board = self._board
        name = target.name
        place = self._place_of(name)
        now_s = self._now_s()
        if outcome.verdict == "good":
            where = board.count_good(place, self.rules.slot(now_s))
            self._sampled[name] = place, where, now_s + _SAMPLED_EVERY_S
            if outcome.first_token_ms is not None or outcome.per_output_token_ms is not None:
                board.add_sample(
                    place, Sample(int(now_s), outcome.first_token_ms, outcome.per_output_token_ms)
                )
            if board.is_quiet(place) or not circuits.is_changed_by_good(board.circuit(place), now_s):
                return
        elif (
            outcome.verdict == "none"
            and not outcome.cool_down_s
            and not (outcome.had_leave and name in self._probes)
        ):
            return
        self._settle(name, place, outcome, now_s)

    def drain(self, name: str) -> bool:
        """Ask the target no more; whether that is news."""
        place = self._place_of(name)
        is_news = not self._board.is_drained(place)
        self._board.drain(place)
        return is_news

    def undrain(self, name: str) -> bool:
        """Ask it again, also where its provider wanted a pause; whether that is news."""
        place = self._place_of(name)
        is_news = self._board.is_drained(place)
        self._board.undrain(place)
        with self._board.turn(place):
            circuit = self._board.circuit(place)
            if circuit.paused_until_s:
                self._board.put(place, circuits.unpaused(circuit))
                is_news = True
        return is_news

    def report(self, name: str) -> TargetReport | None:
        """How the target *name* does, None when nobody has asked it yet; nothing is noted of that."""
        place = self._board.find_place(name)
        if place is None:
            return None
        now_s = self._now_s()
        circuit = self._board.circuit(place)
        return TargetReport(
            state=circuits.state_of(circuit, now_s),
            is_drained=self._board.is_drained(place),
            refusal=self.skip_reason(name),
            wait_s=self.wait_s(name),
            opened_at_s=circuit.opened_at_s if circuit.is_open else None,
            openings=circuit.openings,
            counts=self._count(place, circuit, now_s),
            times=self.times(name, window_s=LONGEST_WINDOW_S),
        )

    @property
    def missed_turns(self) -> int:
        """How often a circuit was changed without its lock, since another process kept that."""
        return self._board.missed_turns

    def _settle(self, name: str, place: int, outcome: Outcome, now_s: float) -> None:
        """Change the circuit as *outcome* wants it."""
        board = self._board
        began_s = now_s - outcome.took_ms / 1000
        probe_s = self._ended_probe(name, began_s) if outcome.had_leave else 0.0
        with board.turn(place):
            before = after = board.circuit(place)
            if outcome.verdict == "sick" and circuits.counts_as_sick(before, began_s, now_s):
                board.count_sick(place, self.rules.slot(now_s))
            counts = self._count(place, before, now_s)
            if outcome.verdict == "sick":
                after = circuits.after_sick(before, began_s, now_s, counts, self.rules, self._random.random())
            elif outcome.verdict == "good":
                after = circuits.after_good(before, began_s, now_s, counts)
            if after is before and probe_s and before.leased_at_s == probe_s:
                after = circuits.unleased(before)
            if outcome.cool_down_s > 0:
                after = circuits.paused(after, now_s, outcome.cool_down_s)
            after = circuits.tidied(after, now_s)
            if after is not before:
                board.put(place, after)
        if after.is_open and after.opened_at_s != before.opened_at_s:
            self._tell_of_opening(name, before, after, counts)
        elif before.is_open and not after.is_open:
            _log.warning("%s is asked again: an attempt at it went well", name)

    def _ended_probe(self, name: str, began_s: float) -> float:
        """When the probe began that has ended with an attempt that began at *began_s*, 0.0 if it has not."""
        probe_s = self._probes.get(name, 0.0)
        if not probe_s or began_s < probe_s - _SAME_S:
            return 0.0
        del self._probes[name]
        return probe_s

    def _tell_of_opening(self, name: str, before: Circuit, after: Circuit, counts: Counts) -> None:
        wait_s = after.until_s - after.opened_at_s
        if before.is_open:
            _log.warning("%s is not asked for another %.1f s: it failed once more", name, wait_s)
        else:
            good, sick, within_s = counts.good, counts.sick, self.rules.window_s
            if not self.rules.are_too_many(sick, good):
                good, sick, within_s = counts.latest_good, counts.latest_sick, within_s / SLOTS
            _log.warning(
                "%s is not asked for %.1f s: %d of its last %d attempts failed, within %g s",
                *(name, wait_s, sick, good + sick, within_s),
            )

    def _recent(self, name: str, window_s: float) -> _Recent:
        board = self._board
        place = self._place_of(name)
        now_s = self._now_s()
        written = board.written(place)
        found = self._recents.get((name, window_s))
        if found is None or not found.is_fresh(now_s, written):
            found = _look_back(board.samples(place), now_s, window_s, written)
            self._recents[name, window_s] = found
        return found

    def _count(self, place: int, circuit: Circuit, now_s: float) -> Counts:
        slot = self.rules.slot(now_s)
        return circuits.count(self._board.counts(place, slot), circuit, slot)

    def _place_of(self, name: str) -> int:
        board = self._board
        if board.generation != self._generation:
            self._places.clear()
            self._groups.clear()
            self._recents.clear()
            self._sampled.clear()
            self._generation = board.generation
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = board.place_of(name)
        return place


def _look_back(samples: Iterable[Sample], now_s: float, window_s: float, written: int) -> _Recent:
    # Their times are whole seconds.
    recent = [one for one in samples if -1 <= now_s - one.at_s <= window_s]
    first = sorted(one.first_token_ms for one in recent if one.first_token_ms is not None)
    per_token = [one.per_output_token_ms for one in recent if one.per_output_token_ms is not None]
    times = TargetTimes(
        len(recent),
        statistics.median(first) if first else None,
        statistics.median(per_token) if per_token else None,
        len(first),
        len(per_token),
    )
    return _Recent(times, tuple(first), now_s, written)
