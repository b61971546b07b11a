"""Counters in a memory-mapped file of the state folder, for all workers of a host.

No process serves it, and it survives restarts. All charges of a call are taken under one kernel record lock,
so a limit holds as if there were one worker. A process that was stopped while it had the file is waited for
a millisecond; then a call goes on with this worker's own share of what is left, and that is noted until the
file is free (`gateway.store.counter_notes`): a limit may refuse what had room, and is passed by no more than
the one call that the stopped process was taking. The only worker of a host keeps the lock, and gives it up
as soon as another process asks: taking it for each call costs as much as the counting.

A rolling window has 12 slots, and what was counted in one leaves with the slot's last moment: no window of
that length anywhere has more than the limit, and room comes back up to a twelfth of the window late.

What a killed worker had reserved stays counted, since nobody knows what its calls used; only its parallel
calls are let go.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from functools import partial
from math import inf
from operator import add, gt, itemgetter
from pathlib import Path
from typing import Final, Protocol

import msgspec

from gateway.model import (
    PARALLEL,
    ROLLING_SLOTS,
    TABLE_KEY_BYTES,
    Charge,
    Charges,
    Correction,
    Corrections,
    CounterGroup,
    Decision,
)
from gateway.store import counter_notes
from gateway.store.counter_notes import NOTED_WORD, PROCESSES, Notes
from gateway.store.counter_places import (
    BASE,
    BUCKET,
    HEAD,
    LANES,
    LOST_WORD,
    MOVES_WORD,
    PLACES,
    RING,
    ZERO_WORD,
    Places,
    size_of,
    slot_of,
)
from gateway.store.mapped_file import LOCK_WAIT_S, give_lock, open_mapped, take_free_lock, take_lock

FILE_NAME: Final = "counters"
"""Of the file in the state folder: 21 MB of counters, 7 of notes."""

_MAGIC: Final = b"gwcount\x01"
_HEADER: Final = struct.Struct("=8s6I")
_HEADER_BYTES: Final = 64
_PROCESSES_WORD: Final = 8
_PROCESS_LOCKS_AT: Final = 80
_UNCOUNTED_WORD: Final = 14
_WANTED_WORD: Final = 15
_MISSED_WORD: Final = 16
_HASTE_S: Final = 0.05
_HASTY_WAIT_S: Final = 0.0001
_PATIENCE_S: Final = 0.02
_PATIENCE_PAUSE_S: Final = 0.0005
_IMPATIENT_S: Final = 1.0


class ReadCounters(Protocol):
    """Counters for who only looks. While a worker changes one, it may be seen half-way."""

    def usage(self, charges: Sequence[Charge]) -> Decision:
        """As `gateway.model.Counters.usage`; any threads may ask, also at once."""

    @property
    def missed_turns(self) -> int:
        """How often a worker did not wait for another to end its turn, since the file was begun."""

    @property
    def drops(self) -> Mapping[str, int]:
        """What was given up since then, by reason."""

    def close(self) -> None:
        """Let go of the file."""


class _Found(msgspec.Struct, frozen=True):
    """Where the counters of a group are, until one of all counters moves.

    Attributes:
        words: Of which file.
        moves: Of that file, when they were found.
        since: Like `until` in twelfths of a second: while the slots are the same, and the calendar's windows.
        places: Of each counter.
        look: What reads all of them.
        parallel: Which of them count parallel calls, with their places; `others` those that do not.
        settled: Of each that is settled its place, in which word it has what no correction of that slot takes
            away (None for one that counts parallel calls), and which it is.
    """

    words: memoryview[int]
    moves: int
    since: float
    until: float
    places: tuple[int, ...]
    look: Callable[[memoryview[int]], Iterable[int]]
    parallel: tuple[tuple[int, int], ...]
    others: tuple[tuple[int, int], ...]
    settled: tuple[tuple[int, int | None, int], ...]


def _found_at(group: CounterGroup, places: Sequence[int], words: memoryview[int], moves: int) -> _Found:
    windows = [charge.window_s for charge in group.charges]
    each = list(enumerate(zip(places, windows, strict=True)))
    # Times are floats, which a float is compared with in a third of the time that an integer so large takes.
    begins = [float(words[place + HEAD] * max(0, window_s)) for _, (place, window_s) in each]
    ends = [begin + window_s for begin, window_s in zip(begins, windows, strict=True) if window_s > 0]
    ends += [float(charge.expires_s * ROLLING_SLOTS) for charge in group.charges if charge.expires_s]
    floors = [
        place + BASE if window_s > 0 else ZERO_WORD if window_s == 0 else None
        for _, (place, window_s) in each
    ]
    return _Found(
        words=words,
        moves=moves,
        since=max(begins, default=0.0),
        until=min(ends, default=inf),
        places=tuple(places),
        # One place alone it would not put into a tuple.
        look=itemgetter(*places) if len(places) > 1 else lambda words: [words[place] for place in places],
        parallel=tuple((place, at) for at, (place, window_s) in each if window_s == PARALLEL),
        others=tuple((place, at) for at, (place, window_s) in each if window_s != PARALLEL),
        settled=tuple((places[at], floors[at], at) for at in group.settled),
    )


class CounterTable:
    """`gateway.model.Counters`, of one process alone or of all that have opened its file.

    One thread of a process uses it: record locks keep processes apart, not threads. `usage` may be asked by
    any.
    """

    def __init__(
        self,
        data: mmap.mmap,
        *,
        descriptor: int | None = None,
        places: int = PLACES,
        process: int = 0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Use *data*, whose header is right.

        Args:
            data: The whole file, mapped, or memory of its size.
            descriptor: Of the file, for its locks; None when there is nobody else.
            places: How many counters it has room for.
            process: Which of them this is.
            now_s: Unix time in seconds.
        """
        self._data = data
        self._descriptor = descriptor
        self._process = process
        self._lane = process % LANES
        self._now_s = now_s
        self._words = memoryview(data).cast("q")
        self._places = Places(data, self._words, places)
        self._notes = Notes(data, self._words, size_of(places), process)
        self._keeps_lock = False
        self._missed_at_s = -inf
        self._impatient_until_s = -inf

    @property
    def missed_turns(self) -> int:
        """How often, in all processes, a call was judged by its worker's share, or its use noted for later.

        Any thread may ask.
        """
        return sum(self._words[_MISSED_WORD : _MISSED_WORD + LANES])

    @property
    def uncounted(self) -> int:
        """How many charges were taken then, and counted nowhere, because too many were noted already."""
        return self._words[_UNCOUNTED_WORD]

    @property
    def lost(self) -> int:
        """How many counters have been forgotten for want of room, although they still counted."""
        return self._words[LOST_WORD]

    @property
    def drops(self) -> Mapping[str, int]:
        """Both of these, by reason; any thread may ask."""
        return {"counters_full": self.lost, "notes_full": self.uncounted}

    def reserve(self, charges: Sequence[Charge]) -> Decision:
        """Take all *charges* or none."""
        if self._descriptor is None or (self._keeps_lock and not self._words[_WANTED_WORD]):
            return self._reserve(charges)
        if self._take(self._descriptor):
            try:
                return self._reserve(charges)
            finally:
                lockf(self._descriptor, LOCK_UN, 1, 0)
        decision = self._reserve_share(charges)
        if decision.refused is not None and self._take_patiently(self._descriptor):
            try:
                return self._reserve(charges)
            finally:
                lockf(self._descriptor, LOCK_UN, 1, 0)
        self._words[_MISSED_WORD + self._lane] += 1
        return decision

    def settle(self, corrections: Sequence[Correction]) -> None:
        """Correct what was taken; see `gateway.model.Counters`."""
        now_s = self._now_s()
        if self._descriptor is None or (self._keeps_lock and not self._words[_WANTED_WORD]):
            self._settle(corrections, now_s)
        elif self._take(self._descriptor):
            try:
                self._settle(corrections, now_s)
            finally:
                lockf(self._descriptor, LOCK_UN, 1, 0)
        else:
            self._words[_MISSED_WORD + self._lane] += 1
            for each in corrections:
                self._note(each.charge, _slot_of(each, now_s), each.amount)

    def raise_to(self, totals: Sequence[tuple[Charge, int]]) -> None:
        """Let counters have at least so much; what they lack is counted now."""
        now_s = self._now_s()
        is_locked = self._descriptor is not None and self._take(self._descriptor)
        try:
            if is_locked and self._words[NOTED_WORD]:
                self._count_notes(now_s)
            for charge, total in totals:
                lacking = total - self._counted(charge, now_s)
                if lacking > 0 and (is_locked or self._descriptor is None):
                    slot = slot_of(charge, now_s)
                    self._count(
                        now_s, self._process, charge.key, charge.window_s, charge.expires_s, slot, lacking
                    )
                elif lacking > 0:
                    self._note(charge, slot_of(charge, now_s), lacking)
        finally:
            if is_locked and self._descriptor is not None:
                lockf(self._descriptor, LOCK_UN, 1, 0)

    def usage(self, charges: Sequence[Charge]) -> Decision:
        """What `reserve` would answer, with what is counted without this call."""
        now_s = self._now_s()
        used = [self._counted(charge, now_s) for charge in charges]
        blocking = [at for at, charge in enumerate(charges) if not charge.has_room(used[at])]
        return self._decision(charges, used, [at for at in blocking if charges[at].is_enforced], now_s)

    def begin(self, descriptor: int, *, is_alone: bool = False) -> None:
        """Let go of what was left by the process that had this one's number before.

        Args:
            descriptor: Of the file.
            is_alone: Nobody else is expected, so the lock is kept if nobody else is there.
        """
        self._words[_WANTED_WORD] = 1
        # Where it is not counted now, the next to have the turn looks.
        self._words[NOTED_WORD] = 1
        is_locked = take_lock(descriptor, 0, 1, wait_s=_PATIENCE_S)
        try:
            self._words[_PROCESSES_WORD] = max(self._words[_PROCESSES_WORD], self._process + 1)
            if is_locked:
                self._count_notes(self._now_s())
            if self._is_nobodys(self._lane, descriptor):
                self._places.free_lane_everywhere(self._lane)
        finally:
            if is_locked:
                # Whoever comes after this look wants it again.
                self._words[_WANTED_WORD] = 0
                others = (number for number in range(PROCESSES) if number != self._process)
                self._keeps_lock = is_alone and all(_is_dead(descriptor, number) for number in others)
                if not self._keeps_lock:
                    give_lock(descriptor, 0, 1)

    def share(self) -> None:
        """Take the lock for each call from now on: another process may come."""
        if self._keeps_lock and self._descriptor is not None:
            self._keeps_lock = False
            give_lock(self._descriptor, 0, 1)

    def close(self) -> None:
        """Let go of the file."""
        self._places.close()
        self._words.release()
        self._data.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _reserve(self, charges: Sequence[Charge]) -> Decision:
        """Within this process's turn."""
        now_s, words = self._now_s(), self._words
        if words[NOTED_WORD]:
            self._count_notes(now_s)
        if not isinstance(charges, Charges):
            charges = Charges(CounterGroup(charges), [charge.amount for charge in charges])
        group, amounts = charges.group, charges.amounts
        found = group.found
        # As `_found`, which each call would be a step more for.
        if (
            found is None
            or found.moves != words[MOVES_WORD]
            or not found.since <= now_s * ROLLING_SLOTS < found.until
            or found.words is not words
        ):
            placed = self._place(charges, now_s)
            if isinstance(placed, Decision):
                return placed
            found = placed
        used = (*map(add, found.look(words), amounts),)
        if any(map(gt, used, group.most)):
            # Who takes nothing of what has been passed already is not refused by it.
            blocking = [at for at, after in enumerate(used) if after > group.most[at] and amounts[at]]
            if self._free_the_dead(charges, found.places, blocking):
                return self._reserve(charges)
            if blocking:
                before = [after - amount for after, amount in zip(used, amounts, strict=True)]
                return self._decision(charges, before, blocking, now_s)
        for place, at in found.parallel:
            self._places.add_parallel(place, self._lane, amounts[at])
        for place, at in found.others:
            words[place] = used[at]
        return Decision(None, used, (), now_s)

    def _refuse_without(
        self, charges: Sequence[Charge], places: Sequence[int], now_s: float
    ) -> Decision | None:
        """The refusal of *charges* of which some have no counter yet, None where there is none.

        These get none by it: else who is refused could fill the file with counters for whatever its calls say
        of themselves, until that which refuses it has lost its place.
        """
        used = [self._counted(charge, now_s) for charge in charges]
        blocking = [
            at for at, charge in enumerate(charges) if charge.is_enforced and not charge.has_room(used[at])
        ]
        if not blocking:
            return None
        if self._free_the_dead(charges, places, blocking):
            return self._refuse_without(charges, places, now_s)
        return self._decision(charges, used, blocking, now_s)

    def _found(self, group: CounterGroup, now_s: float) -> _Found | None:
        """Where the counters of *group* are, if that is known and nothing has moved since."""
        found: _Found | None = group.found
        if (
            found is not None
            and found.moves == self._words[MOVES_WORD]
            and found.since <= now_s * ROLLING_SLOTS < found.until
            and found.words is self._words
        ):
            return found
        return None

    def _place(self, charges: Charges, now_s: float) -> _Found | Decision:
        """Find each counter and let its window go on; those that have no place get one, if none refuses."""
        words, moves, group = self._words, self._words[MOVES_WORD], charges.group
        places = [self._places.find(charge.key) for charge in group.charges]
        if not all(places) and (refusal := self._refuse_without(charges, places, now_s)) is not None:
            return refusal
        for at, charge in enumerate(group.charges):
            slot = slot_of(charge, now_s)
            place = places[at] = places[at] or self._make(charge, slot, now_s, places)
            if words[place + HEAD] != slot:
                self._places.go_on(place, slot)
        # Where one was made or went on these are looked for once more the next time.
        group.found = found = _found_at(group, places, words, moves)
        return found

    def _reserve_share(self, charges: Sequence[Charge]) -> Decision:
        """Without a turn: of what is left of each limit a process may take its share.

        That is noted before it is decided. However long this process is held up in between, what others take
        meanwhile is seen then, or they have seen the note. Who is refused at first sight notes nothing: calls
        may name any number of counters, and could fill the page.
        """
        now_s = self._now_s()
        decision = self._judge_share(charges, [0] * len(charges), now_s)
        if decision.refused is not None:
            return decision
        noted = [self._note(charge, slot_of(charge, now_s), charge.amount) for charge in charges]
        decision = self._judge_share(charges, noted, now_s)
        if decision.refused is not None:
            for charge, amount in zip(charges, noted, strict=True):
                self._note(charge, slot_of(charge, now_s), -amount)
        return decision

    def _judge_share(self, charges: Sequence[Charge], noted: Sequence[int], now_s: float) -> Decision:
        """Whether *charges* are within the share of this process, which has *noted* so much of each."""
        used = [self._counted(charge, now_s) - own for charge, own in zip(charges, noted, strict=True)]
        processes = max(1, self._words[_PROCESSES_WORD])
        blocking = [
            at
            for at, charge in enumerate(charges)
            if charge.is_enforced and charge.amount > max(0, charge.limit - used[at]) // processes
        ]
        if blocking:
            return self._decision(charges, used, blocking, now_s)
        after = [each + charge.amount for each, charge in zip(used, charges, strict=True)]
        return Decision(None, tuple(after), (), now_s)

    def _settle(self, corrections: Sequence[Correction], now_s: float) -> None:
        words = self._words
        if words[NOTED_WORD]:
            self._count_notes(now_s)
        if isinstance(corrections, Corrections):
            found, decision = self._found(corrections.charges.group, now_s), corrections.decision
            if found is not None and found.since <= decision.at_s * ROLLING_SLOTS:
                # Counters that are where they were, in the slots in which they were charged.
                for (place, floor, at), amount in zip(found.settled, corrections.amounts, strict=True):
                    if floor is None:
                        self._places.add_parallel(place, self._lane, amount)
                    elif (after := words[place] + amount) >= words[floor]:
                        words[place] = after
                    else:
                        self._settle_one(Correction(corrections.charges[at], amount, decision), now_s)
                return
        for correction in corrections:
            self._settle_one(correction, now_s)

    def _settle_one(self, correction: Correction, now_s: float) -> None:
        charge, slot = correction.charge, _slot_of(correction, now_s)
        self._count(
            now_s, self._process, charge.key, charge.window_s, charge.expires_s, slot, correction.amount
        )

    def _count(
        self, now_s: float, process: int, key: bytes, window_s: int, expires_s: int, slot: int, amount: int
    ) -> None:
        """Add *amount* to a counter, which is begun where there is something to count."""
        if expires_s and expires_s <= now_s:
            return
        place = self._places.find(key)
        current = int(now_s * ROLLING_SLOTS) // window_s if window_s > 0 else 0
        if not place:
            if amount <= 0:
                return
            place = self._places.make(key, window_s, current, expires_s, now_s)
        if window_s == PARALLEL:
            self._places.add_parallel(place, process % LANES, amount)
            return
        if self._words[place + HEAD] != current:
            self._places.go_on(place, current)
        self._places.add(place, window_s, slot, amount)

    def _make(self, charge: Charge, slot: int, now_s: float, beside: Collection[int]) -> int:
        return self._places.make(charge.key, charge.window_s, slot, charge.expires_s, now_s, beside)

    def _count_notes(self, now_s: float) -> None:
        self._notes.settle(partial(self._count, now_s))
        self._notes.begin_page()

    def _note(self, charge: Charge, slot: int, amount: int) -> int:
        """Note *amount*; gives what was noted of it, which is nothing where there is no room."""
        # What changes nothing takes no room of what does: who takes nothing may name any number of counters.
        if amount and not self._notes.write(charge.key, charge.window_s, charge.expires_s, slot, amount):
            self._words[_UNCOUNTED_WORD] += 1
            return 0
        return amount

    def _counted(self, charge: Charge, now_s: float) -> int:
        slot = slot_of(charge, now_s)
        # What is counted between two looks is seen at one of them, or at both: never too little.
        noted = self._notes.noted(charge.key, slot)
        place = self._places.find(charge.key)
        counted = self._places.counted(place, charge.window_s, slot) if place else 0
        return counted + max(noted, self._notes.noted(charge.key, slot))

    def _decision(
        self, charges: Sequence[Charge], used: Sequence[int], blocking: Sequence[int], now_s: float
    ) -> Decision:
        """What is told of these figures, where *blocking* are the charges in the way."""
        reset_s = [charge.reset_s(now_s) if used[at] else 0.0 for at, charge in enumerate(charges)]
        for at in blocking:
            charge = charges[at]
            if charge.window_s > 0 and (place := self._places.find(charge.key)):
                needed = used[at] + charge.amount - charge.limit
                reset_s[at] = max(0.0, self._places.room_in_s(place, charge.window_s, needed, now_s))
        refused = min(blocking, key=reset_s.__getitem__) if blocking else None
        return Decision(refused, tuple(used), tuple(reset_s), now_s)

    def _free_the_dead(
        self, charges: Sequence[Charge], places: Sequence[int], blocking: Sequence[int]
    ) -> bool:
        """Let go of parallel calls of processes that are no more; whether there were any."""
        is_any = False
        for at in blocking:
            if charges[at].window_s == PARALLEL and places[at] and self._descriptor is not None:
                lanes = [lane for lane in self._places.lanes_at(places[at]) if lane != self._lane]
                dead = frozenset([lane for lane in lanes if self._is_nobodys(lane, self._descriptor)])
                if dead:
                    self._places.free_lanes(places[at], dead)
                    is_any = True
        return is_any

    def _is_nobodys(self, lane: int, descriptor: int) -> bool:
        """Whether no living process but this one has parallel calls in the *lane*."""
        numbers = (number for number in range(lane, PROCESSES, LANES) if number != self._process)
        return all(_is_dead(descriptor, number) for number in numbers)

    def _take(self, descriptor: int) -> bool:
        """Take the file; see the module."""
        self._keeps_lock = False
        try:
            lockf(descriptor, LOCK_EX | LOCK_NB, 1, 0)
        except OSError:
            self._words[_WANTED_WORD] = 1
            now_s = time.monotonic()
            is_hasty = now_s - self._missed_at_s < _HASTE_S
            if take_lock(descriptor, 0, 1, wait_s=_HASTY_WAIT_S if is_hasty else LOCK_WAIT_S):
                return True
            if not is_hasty:
                self._missed_at_s = time.monotonic()
            return False
        return True

    def _take_patiently(self, descriptor: int) -> bool:
        """Wait longer before a call is refused that may have room, but not for each of many calls."""
        now_s = time.monotonic()
        if now_s < self._impatient_until_s:
            return False
        deadline_s = now_s + _PATIENCE_S
        while time.monotonic() < deadline_s:
            time.sleep(_PATIENCE_PAUSE_S)
            if take_lock(descriptor, 0, 1, wait_s=0.0):
                return True
        self._impatient_until_s = deadline_s + _IMPATIENT_S
        return False


def counters_in_memory(*, places: int = PLACES, now_s: Callable[[], float] = time.time) -> CounterTable:
    """Counters of this process alone; they take no room until they are used."""
    return CounterTable(mmap.mmap(-1, _size(places)), places=places, now_s=now_s)


def open_counters(
    path: Path, *, places: int = PLACES, now_s: Callable[[], float] = time.time, is_alone: bool = False
) -> CounterTable:
    """The counters in the file *path*, which is begun if there is none, or none of this size and version.

    A process opens it once: closing one of two would end the locks of both.

    Args:
        path: Of the file.
        places: How many counters it has room for.
        now_s: Unix time in seconds.
        is_alone: No other process of the host counts.

    Raises:
        OSError: The file cannot be made or read, or another process has been opening it for seconds.
    """
    descriptor, data = open_mapped(path, _header(places), _size(places))
    # A number that no living process has; its lock is kept to the end of the process.
    process = take_free_lock(descriptor, _PROCESS_LOCKS_AT, PROCESSES)
    counters = CounterTable(
        data,
        descriptor=descriptor,
        places=places,
        process=os.getpid() % PROCESSES if process is None else process,
        now_s=now_s,
    )
    if process is not None:
        counters.begin(descriptor, is_alone=is_alone)
    return counters


def open_counters_to_read(
    path: Path, *, places: int = PLACES, now_s: Callable[[], float] = time.time
) -> ReadCounters:
    """The same counters for a process that charges nothing: it takes no number, and no share of what is left.

    Raises:
        OSError: As `open_counters`.
    """
    descriptor, data = open_mapped(path, _header(places), _size(places))
    os.close(descriptor)
    return CounterTable(data, places=places, now_s=now_s)


def _slot_of(correction: Correction, now_s: float) -> int:
    """Where a correction counts: what is given back where it was taken, what comes on top now."""
    return slot_of(correction.charge, correction.decision.at_s if correction.amount < 0 else now_s)


def _is_dead(descriptor: int, process: int) -> bool:
    """No living process has the number, which is not that of this one."""
    if not take_lock(descriptor, _PROCESS_LOCKS_AT + process, 1, wait_s=0.0):
        return False
    give_lock(descriptor, _PROCESS_LOCKS_AT + process, 1)
    return True


def _size(places: int) -> int:
    return size_of(places) + counter_notes.BYTES


def _header(places: int) -> bytes:
    fields = (_MAGIC, TABLE_KEY_BYTES, BUCKET, RING, LANES, counter_notes.NOTES, places)
    return _HEADER.pack(*fields).ljust(_HEADER_BYTES, b"\0")
