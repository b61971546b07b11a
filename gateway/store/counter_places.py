"""Where each counter is in the file of counters, and the arithmetic of one.

A counter is a few words of 64 bits. What is counted is one of them, so that a process that is killed while it
counts leaves the old figure or the new one. A rolling window has what was counted in each of its slots beside
it; these change only when time goes on to the next slot, or when something is given back.

A key has two buckets of places, by either half of it, and takes one in the emptier. With `PLACES` of them
100,000 counters have room; a new one in full buckets takes the place of the one that would end first.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections.abc import Collection
from math import inf
from typing import Final

from gateway.model import PARALLEL, ROLLING_SLOTS, TABLE_KEY_BYTES, Charge

PLACES: Final = 131_072
LANES: Final = 32
"""Processes whose parallel calls are told apart; of more than these several share one."""

MOST_AT_ONCE: Final = 65_535
"""Parallel calls of one process that are counted: more than it has connections."""

BUCKET: Final = 16
KEYS_AT: Final = 1024
LOST_WORD: Final = 9
"""Of the file: how many counters have lost their place although they still counted."""

ZERO_WORD: Final = 7
"""Of the file: always 0, as the least that is left of counters of which nothing is kept apart."""

MOVES_WORD: Final = 112
"""Of the file: how often a counter has got a place, or a window has gone on to another slot. It is raised
before that begins, so whoever finds it as it was finds each counter where it was, in the same slot.
"""

RING: Final = ROLLING_SLOTS + 1
"""The slots of a window, and the one that is being filled: so no window at all has more than its limit."""

HEAD: Final = 1
BASE: Final = 2
MARK: Final = 3
WINDOW: Final = 4
SLOTS: Final = 5
WORDS: Final = SLOTS + RING
"""Of a place: what is counted; the slot that is being filled; what the others have (of a calendar window: its
end); half of its key; the window; what each slot has (of parallel calls: what each process has).
"""

WORD: Final = 8
UNKNOWN: Final = (0, -1)
"""A place that is none: its mark would be a word of the file's header that is never so."""

_HALVES: Final = WORD // 2
"""Of a word: each process has one of 16 bits for its parallel calls."""

_LANES_AT: Final = SLOTS * _HALVES
_KNOWN: Final = 16_384
_THREE: Final = struct.Struct("=3q")
_NO_KEY: Final = bytes(TABLE_KEY_BYTES)


def size_of(places: int) -> int:
    """Bytes from the file's start to behind the last place."""
    return KEYS_AT + places * (TABLE_KEY_BYTES + WORDS * WORD)


class Places:
    """The counters of one file. A place is the number of its first word.

    Whoever changes one has the file to itself.

    Attributes:
        known: Where counters were found; they are there still if the place has that mark.
    """

    def __init__(self, data: mmap.mmap, words: memoryview[int], places: int) -> None:
        """Use *data*, which *words* shows as signed words of 64 bits."""
        self._data = data
        self._words = words
        self._halves = memoryview(data).cast("H")
        self._buckets = places // BUCKET
        self._first = (KEYS_AT + places * TABLE_KEY_BYTES) // WORD
        self._places = places
        self.known: dict[bytes, tuple[int, int]] = {}

    def find(self, key: bytes) -> int:
        """Where the counter is, 0 when there is none."""
        place, mark = self.known.get(key, UNKNOWN)
        return place if self._words[place + MARK] == mark else self._look_for(key)

    def make(
        self,
        key: bytes,
        window_s: int,
        slot: int,
        expires_s: int,
        now_s: float,
        beside: Collection[int] = (),
    ) -> int:
        """A place for a counter that has none; of those *beside* it none has to go for it."""
        number, is_lost = self._free_number(key, now_s, beside)
        words, place = self._words, self._first + number * WORDS
        words[MOVES_WORD] += 1
        if is_lost:
            words[LOST_WORD] += 1
        key_at = KEYS_AT + number * TABLE_KEY_BYTES
        self._data[key_at : key_at + TABLE_KEY_BYTES] = _NO_KEY
        self._data[place * WORD : (place + WORDS) * WORD] = bytes(WORDS * WORD)
        words[place + HEAD] = slot
        words[place + BASE] = expires_s
        words[place + MARK] = _half(key)
        words[place + WINDOW] = window_s
        self._data[key_at : key_at + TABLE_KEY_BYTES] = key
        return self._note(key, place)

    def go_on(self, place: int, slot: int) -> None:
        """Let a rolling window go on to *slot*."""
        words = self._words
        head = words[place + HEAD]
        age = slot - head
        # A clock that was set back a little: what comes is counted where the last was. Set back by more than
        # a window, it was wrong before, and what it left would stay for as long as that.
        if -RING <= age <= 0:
            return
        words[MOVES_WORD] += 1
        slots = place + SLOTS
        if age < 0 or age >= RING:
            self._data[slots * WORD : (slots + RING) * WORD] = bytes(RING * WORD)
        else:
            words[slots + head % RING] = words[place] - words[place + BASE]
            for each in range(head + 1, slot + 1):
                words[slots + each % RING] = 0
        base = sum(words[slots : slots + RING].tolist())
        self._data[place * WORD : (place + MARK) * WORD] = _THREE.pack(base, slot, base)

    def counted(self, place: int, window_s: int, slot: int) -> int:
        """What is counted, without changing anything."""
        words = self._words
        total, head = words[place], words[place + HEAD]
        if window_s <= 0 or -RING <= slot - head <= 0:
            return total
        if not 0 < slot - head < RING:
            return 0
        slots = words[place + SLOTS : place + WORDS].tolist()
        slots[head % RING] = total - words[place + BASE]
        return sum(slots[each % RING] for each in range(slot - ROLLING_SLOTS, head + 1))

    def add(self, place: int, window_s: int, slot: int, amount: int) -> None:
        """Add *amount* to what was counted in *slot*, if that is still counted; never below nothing."""
        words = self._words
        if window_s == 0:
            words[place] = max(0, words[place] + amount)
            return
        head = words[place + HEAD]
        base = words[place + BASE]
        if slot >= head:
            words[place] = max(base, words[place] + amount)
        elif head - slot < RING:
            at = place + SLOTS + slot % RING
            change = max(amount, -words[at])
            words[at] += change
            self._data[place * WORD : (place + MARK) * WORD] = _THREE.pack(
                words[place] + change, head, base + change
            )

    def add_parallel(self, place: int, lane: int, amount: int) -> None:
        """Add *amount* to what the process of that lane has, which is never counted beyond `MOST_AT_ONCE`."""
        halves, half = self._halves, place * _HALVES + _LANES_AT + lane
        has = halves[half]
        after = has + amount
        if not 0 <= after <= MOST_AT_ONCE:
            after = max(0, min(after, MOST_AT_ONCE))
            amount = after - has
        halves[half] = after
        self._words[place] += amount

    def free_lanes(self, place: int, lanes: frozenset[int]) -> None:
        """Let go of what the processes of these lanes had."""
        start = (place + SLOTS) * (WORD // 2)
        for lane in lanes:
            self._halves[start + lane] = 0
        self._words[place] = sum(self._halves[start : start + LANES].tolist())

    def lanes_at(self, place: int) -> list[int]:
        """Which lanes have something there."""
        start = (place + SLOTS) * (WORD // 2)
        return [lane for lane, has in enumerate(self._halves[start : start + LANES].tolist()) if has]

    def free_lane_everywhere(self, lane: int) -> None:
        """Let go of all that the process that had the lane before had."""
        windows = self._words[self._first + WINDOW :: WORDS].tolist()[: self._places]
        for number, window_s in enumerate(windows):
            if window_s == PARALLEL:
                self.free_lanes(self._first + number * WORDS, frozenset({lane}))

    def room_in_s(self, place: int, window_s: int, needed: int, now_s: float) -> float:
        """Seconds until so much is not counted any more by a rolling window; all, if that is less."""
        words = self._words
        head = words[place + HEAD]
        for each in range(head - ROLLING_SLOTS, head):
            needed -= words[place + SLOTS + each % RING]
            if needed <= 0:
                return left_s(each, window_s, now_s)
        return left_s(head, window_s, now_s)

    def close(self) -> None:
        """Let go of the memory."""
        self._halves.release()

    def _look_for(self, key: bytes) -> int:
        for bucket in self._buckets_of(key):
            start = at = KEYS_AT + bucket * BUCKET * TABLE_KEY_BYTES
            end = start + BUCKET * TABLE_KEY_BYTES
            while (at := self._data.find(key, at, end)) >= 0:
                number, beside = divmod(at - KEYS_AT, TABLE_KEY_BYTES)
                if not beside:
                    return self._note(key, self._first + number * WORDS)
                at += 1
        return 0

    def _note(self, key: bytes, place: int) -> int:
        if len(self.known) >= _KNOWN:
            self.known.clear()
        self.known[key] = (place, _half(key))
        return place

    def _buckets_of(self, key: bytes) -> tuple[int, int]:
        return _half(key) % self._buckets, _half(key[8:]) % self._buckets

    def _free_number(self, key: bytes, now_s: float, beside: Collection[int]) -> tuple[int, bool]:
        """Which place a new counter takes, and whether another loses it, which is none of those *beside*."""
        buckets = [range(bucket * BUCKET, bucket * BUCKET + BUCKET) for bucket in self._buckets_of(key)]
        empty = max(
            ([number for number in bucket if not self._has_key(number)] for bucket in buckets), key=len
        )
        if empty:
            return empty[0], False
        full = [number for bucket in buckets for number in bucket]
        # Nothing is counted yet by those that the same call has just got, and they are no less needed.
        others = [number for number in full if self._first + number * WORDS not in beside] or full
        ends_s, number = min((self._ends_s(number, now_s), number) for number in others)
        return number, ends_s > now_s

    def _has_key(self, number: int) -> bool:
        at = KEYS_AT + number * TABLE_KEY_BYTES
        return self._data[at : at + TABLE_KEY_BYTES] != _NO_KEY

    def _ends_s(self, number: int, now_s: float) -> float:
        """Unix time at which what is in the place counts no more; it may be past."""
        words, place = self._words, self._first + number * WORDS
        if not words[place]:
            # Nothing is counted there: who comes again begins where it was.
            return 0.0
        window_s = words[place + WINDOW]
        if window_s > 0:
            return now_s + left_s(words[place + HEAD], window_s, now_s)
        return inf if window_s == PARALLEL else words[place + BASE] or inf


def slot_of(charge: Charge, now_s: float) -> int:
    """Which slot of its window is being filled; 0 where there are none."""
    return int(now_s * ROLLING_SLOTS) // charge.window_s if charge.window_s > 0 else 0


def left_s(slot: int, window_s: int, now_s: float) -> float:
    """Seconds until what was counted in *slot* is not counted any more."""
    return (slot + RING) * window_s / ROLLING_SLOTS - now_s


def _half(key: bytes) -> int:
    return int.from_bytes(key[:8], sys.byteorder, signed=True)
