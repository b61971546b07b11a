"""Circuits and pauses that replicas share: what this host tells of its board, and what it takes over.

Two things are told of a target: its circuit as it last opened or closed, and the pause that its provider
asked for. Of two circuits the one that changed later stands, of two pauses the one that ends later. A host
that takes a circuit over goes on with it by itself: each lets one call at a time find out whether the target
does again, and the first that finds out tells the others. What is counted, sampled or drained is each host's
own.

Times are told by a common clock, so hosts need not agree on one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from gateway.routing import circuit as circuits
from gateway.routing.circuit import MAX_PAUSE_S, CircuitRules
from gateway.store.replica_records import Heard, Record
from gateway.store.target_board import Circuit, TargetBoard, key_of

KEEP_S: Final = 600.0
"""How long a circuit is told of after its change; who was away for longer finds out by itself."""

SAME_S: Final = 0.05
"""Two changes that are alike and no further apart are one, told twice by clocks that differ a little."""

QUICK_S: Final = 0.1
"""An exchange that took longer says too little about the time."""

_FUTURE_S: Final = 5.0
_US: Final = 1_000_000
_OPEN: Final = "open"
_CLOSED: Final = "closed"
_CIRCUIT: Final = "circuit"
_PAUSE: Final = "pause"

_log: Final = logging.getLogger(__name__)
_replace = msgspec.structs.replace


class SharedCircuits:
    """The board of this host as others hear of it, and they as it does."""

    def __init__(
        self,
        board: TargetBoard,
        rules: Callable[[], CircuitRules],
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            board: Of this host.
            rules: When circuits open, for what is counted after one closes.
            now_s: Unix time by the clock of this host.
        """
        self._board = board
        self._rules = rules
        self._now_s = now_s
        self._ahead_s: float | None = None
        self._names: dict[str, str] = {}
        self._places: dict[str, int | None] = {}
        self._generation = board.generation
        self._taken = board.taken
        self._busy: set[str] = set()
        self._told: dict[str, float] = {}
        self._offered: dict[str, float] = {}

    def configure(self, names: Iterable[str]) -> None:
        """Share the circuits of these targets and of no others."""
        self._names = {key_of(name).hex(): name for name in names}
        self._places = {}
        self._busy &= self._names.keys()

    def news(self, limit: int) -> list[Record]:
        """What others have to be told, at most *limit*; the rest comes with the next call.

        Nothing while the common clock is not known.
        """
        self._offered = {}
        if self._ahead_s is None:
            return []
        self._find_places()
        records: list[Record] = []
        for key in self._names:
            if len(records) >= limit:
                break
            place = self._places[key]
            if place is None or (key not in self._busy and self._board.is_quiet(place)):
                continue
            self._busy.add(key)
            records += self._news_of(key, self._board.circuit(place), self._ahead_s)
        return records[:limit]

    def exchanged(self, records: Sequence[Record], heard: Heard) -> None:
        """Take over what came for *records*, which `news` gave and others know from now on."""
        if self._ahead_s is None or heard.took_s <= QUICK_S:
            self._ahead_s = heard.ahead_s
        self._find_places()
        if heard.is_new:
            self._told.clear()
        for record in records:
            self._told[record.field] = self._offered[record.field]
        for record in heard.records:
            self._hear(record, self._ahead_s)
        self._forget_quiet()

    def _news_of(self, key: str, circuit: Circuit, ahead_s: float) -> Iterator[Record]:
        now_s = self._now_s()
        changed_s = _changed_at_s(circuit)
        if changed_s and now_s - changed_s < KEEP_S and self._is_untold(f"{key}:{_CIRCUIT}", changed_s):
            value, keep_s = _CLOSED, KEEP_S
            if circuit.is_open:
                value = f"{_OPEN} {_us(circuit.until_s + ahead_s)} {_us(circuit.cool_down_s)}"
                keep_s += max(0.0, circuit.until_s - now_s)
            yield Record(f"{key}:{_CIRCUIT}", _us(changed_s + ahead_s), value, keep_s)
        until_s = circuit.paused_until_s
        if until_s > now_s and self._is_untold(f"{key}:{_PAUSE}", until_s):
            yield Record(f"{key}:{_PAUSE}", _us(until_s + ahead_s), _PAUSE, until_s - now_s)

    def _is_untold(self, field: str, at_s: float) -> bool:
        """Whether it has to be told what happened *at_s*; if so that is noted as offered."""
        if self._told.get(field) == at_s:
            return False
        self._offered[field] = at_s
        return True

    def _hear(self, record: Record, ahead_s: float) -> None:
        """Take over what is newer than what is known here; what cannot be read is left."""
        key, _, kind = record.field.partition(":")
        name = self._names.get(key)
        if name is None:
            return
        place = self._places[key]
        if place is None:
            place = self._places[key] = self._board.place_of(name)
        at_s = record.order / _US - ahead_s
        with self._board.turn(place):
            before = self._board.circuit(place)
            after = before
            if kind == _PAUSE:
                after = _with_pause(before, at_s, self._now_s())
            elif kind == _CIRCUIT:
                after = self._with_circuit(before, at_s, record.value, ahead_s, place)
            if after is not before:
                self._board.put(place, after)
        known_s = after.paused_until_s if kind == _PAUSE else _changed_at_s(after)
        if after is not before or abs(known_s - at_s) <= SAME_S:
            self._told[record.field] = known_s
        if after.is_open and not before.is_open:
            _log.warning("%s is not asked for now: its attempts fail at another replica", name)
        elif before.is_open and not after.is_open:
            _log.warning("%s is asked again: an attempt of another replica went well", name)

    def _with_circuit(
        self, known: Circuit, changed_s: float, value: str, ahead_s: float, place: int
    ) -> Circuit:
        """The circuit after another replica's change at *changed_s*; as it was, where ours changed later."""
        now_s = self._now_s()
        word, *numbers = value.split(" ")
        least_s = SAME_S if known.is_open == (word == _OPEN) else 0.0
        if not least_s < changed_s - _changed_at_s(known) or changed_s > now_s + _FUTURE_S:
            return known
        if word == _CLOSED and known.is_open:
            return self._closed(known, changed_s, place)
        if word == _CLOSED:
            # Remembered, lest an older opening that is heard of late be taken for news.
            return _replace(known, closed_at_s=changed_s)
        try:
            until_us, cool_down_us = map(int, numbers)
        except ValueError:
            return known
        if word != _OPEN:
            return known
        return _replace(
            known,
            is_open=True,
            opened_at_s=changed_s,
            until_s=min(until_us / _US - ahead_s, now_s + MAX_PAUSE_S),
            cool_down_s=min(cool_down_us / _US, MAX_PAUSE_S),
            leased_at_s=0.0,
            leased_until_s=0.0,
        )

    def _closed(self, circuit: Circuit, at_s: float, place: int) -> Circuit:
        slot = self._rules().slot(self._now_s())
        return circuits.closed(circuit, at_s, circuits.count(self._board.counts(place, slot), circuit, slot))

    def _find_places(self) -> None:
        """Find out where the targets are on the board, if that can have changed."""
        board = self._board
        if len(self._places) == len(self._names) and self._taken == board.taken:
            return
        if self._generation != board.generation:
            self._places = {}
        self._generation, self._taken = board.generation, board.taken
        for key, name in self._names.items():
            if self._places.get(key) is None:
                self._places[key] = board.find_place(name)

    def _forget_quiet(self) -> None:
        """Look no more at targets of which nothing is left to tell."""
        for key in tuple(self._busy):
            place = self._places[key]
            if place is None or not self._board.is_quiet(place):
                continue
            changed_s = _changed_at_s(self._board.circuit(place))
            is_old = self._now_s() - changed_s >= KEEP_S
            if not changed_s or is_old or self._told.get(f"{key}:{_CIRCUIT}") == changed_s:
                self._busy.discard(key)


def _changed_at_s(circuit: Circuit) -> float:
    return max(circuit.opened_at_s, circuit.closed_at_s)


def _with_pause(circuit: Circuit, until_s: float, now_s: float) -> Circuit:
    """The circuit with another replica's pause, where that ends later than what is known here."""
    if until_s <= now_s or until_s <= circuit.paused_until_s + SAME_S:
        return circuit
    return circuits.paused(circuit, now_s, until_s - now_s)


def _us(seconds: float) -> int:
    return round(seconds * _US)
