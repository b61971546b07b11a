"""What is known of the health of every target, in a memory-mapped file for all processes of a host.

Each target has a place, found by a hash of its name; a full board loses the target that has been quiet for
longest. A place has a circuit, whether an operator drained the target, a ring of its last samples, and how
many of its attempts went well or not in slots of time. Only the circuit changes under a lock, and it carries
a checksum: one whose writer was killed within it is begun anew. Counts take none, since each process has a
lane of its own; samples take none either, and where two processes write at once one sample is lost, which a
median does not mind. `gateway.routing.health` knows what all this means.

To see that nothing is the matter with a target takes two bytes of its place.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from math import isnan, nan
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from gateway.store.mapped_file import give_lock, open_mapped, take_free_lock, take_lock

FILE_NAME: Final = "targets"
"""Of the file in the state folder."""

PLACES: Final = 2048
"""Targets that a board has room for; the file has 11 MB."""

SAMPLES: Final = 100
SLOTS: Final = 10
LANES: Final = 32
"""Processes that count exactly; more than these share lanes, and of two counts at once one may be lost."""

_MAGIC: Final = b"gwtarget\x01"
_HEADER: Final = struct.Struct("=9s5I")
_HEADER_BYTES: Final = 64
_LANES_USED_AT: Final = 64
_GENERATION_AT: Final = 68
_SHARED_AT: Final = 72
_TAKEN_AT: Final = 76
_LANE_LOCKS_AT: Final = 128
_MISSED_AT: Final = 160
_KEY_BYTES: Final = 16
_KEYS_AT: Final = 320
_NO_KEY: Final = bytes(_KEY_BYTES)

# Of a place, from its start; all are multiples of what they hold.
_CIRCUIT: Final = struct.Struct("=?8d4I")
_CHECKSUM: Final = struct.Struct("=I")
_CIRCUIT_AT: Final = 8
_CIRCUIT_BYTES: Final = _CIRCUIT.size + _CHECKSUM.size
_USED_AT: Final = 96
_WRITTEN_AT: Final = 100
_SAMPLES_AT: Final = 128
_SAMPLE: Final = struct.Struct("=Ifff")
_LANES_AT: Final = _SAMPLES_AT + SAMPLES * _SAMPLE.size
_COUNTS_WORDS: Final = 3
_LANE_WORDS: Final = SLOTS * _COUNTS_WORDS
_WORD: Final = 4
_PLACE_BYTES: Final = -(-(_LANES_AT + LANES * _LANE_WORDS * _WORD) // 64) * 64
_ALL_BITS: Final = 0xFFFF_FFFF
_NOTHING: Final = b"\0\0"
_READS: Final = 4


class Circuit(msgspec.Struct, frozen=True):
    """Whether a target may be asked. All times are Unix times in seconds, 0.0 for never.

    Attributes:
        is_open: Opened, and not closed again; half-open too.
        opened_at_s: Last; `closed_at_s` likewise.
        until_s: It is not asked until then, and then by one call at a time.
        cool_down_s: How long that was to be, before chance changed it.
        leased_at_s: When a call was let through to see how it does.
        leased_until_s: The next one has to wait for that call until then.
        paused_at_s: When its provider asked to be left alone, until `paused_until_s`.
        base_slot: In which slot it was closed.
        base_good: What had gone well in that slot before; `base_sick` what had not.
        openings: How often it has opened.
    """

    is_open: bool = False
    opened_at_s: float = 0.0
    until_s: float = 0.0
    cool_down_s: float = 0.0
    leased_at_s: float = 0.0
    leased_until_s: float = 0.0
    paused_at_s: float = 0.0
    paused_until_s: float = 0.0
    closed_at_s: float = 0.0
    base_slot: int = 0
    base_good: int = 0
    base_sick: int = 0
    openings: int = 0


CLOSED: Final = Circuit()


class Sample(msgspec.Struct, frozen=True):
    """How quick one reply was.

    Attributes:
        at_s: Unix time of its end, whole seconds.
        first_token_ms: None where that is not known; `per_output_token_ms` likewise.
    """

    at_s: int
    first_token_ms: float | None
    per_output_token_ms: float | None


class TargetBoard:
    """What is known of targets, of one process alone or of all that have opened its file.

    A place is where its target is on the board: good until `generation` changes, which happens only when a
    full board takes in another target.
    """

    def __init__(
        self,
        data: mmap.mmap,
        *,
        descriptor: int | None = None,
        places: int = PLACES,
        lane: int = 0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Use *data*, whose header is right.

        Args:
            data: The whole file, mapped, or memory of its size.
            descriptor: Of the file, for its locks; None when there is nobody else.
            places: How many it has.
            lane: Where this process counts.
            now_s: Unix time in seconds.
        """
        self._data = data
        self._words = memoryview(data).cast("I")
        self._descriptor = descriptor
        self._places = places
        self._keys_end = _KEYS_AT + places * _KEY_BYTES
        self._first = _first_place(places)
        self._now_s = now_s
        self._missed_word = _MISSED_AT // _WORD + lane
        self._lane_word = (_LANES_AT + lane * _LANE_WORDS * _WORD) // _WORD
        self._threads = threading.Lock()
        if self._words[_LANES_USED_AT // _WORD] <= lane:
            self._words[_LANES_USED_AT // _WORD] = lane + 1

    @property
    def generation(self) -> int:
        """Places found under another one may be other targets' now."""
        return self._words[_GENERATION_AT // _WORD]

    @property
    def taken(self) -> int:
        """Changes whenever a target gets a place."""
        return self._words[_TAKEN_AT // _WORD]

    @property
    def missed_turns(self) -> int:
        """How often a circuit was changed without its lock, because another process kept that."""
        start = _MISSED_AT // _WORD
        return sum(self._words[start : start + LANES])

    @property
    def shared_at_s(self) -> int:
        """Unix time at which replicas last told each other what they know, 0 for never."""
        return self._words[_SHARED_AT // _WORD]

    def note_shared(self) -> None:
        """Note that they just did."""
        self._words[_SHARED_AT // _WORD] = int(self._now_s()) & _ALL_BITS

    def find_place(self, name: str) -> int | None:
        """Where the target *name* is, None when nobody has asked for it yet."""
        return self._find(key_of(name))

    def place_of(self, name: str) -> int:
        """Where it is; it gets a place if it has none."""
        key = key_of(name)
        found = self._find(key)
        if found is None:
            with _Turn(self, 0, _HEADER_BYTES):
                found = self._find(key)
                if found is None:
                    found = self._take_place(key)
        return found

    def is_quiet(self, place: int) -> bool:
        """Nothing is to be said against the target: closed, no pause, not drained."""
        return self._data[place : place + 2] == _NOTHING

    def are_quiet(self, places: Iterable[int], generation: int) -> bool:
        """The same of all *places*, found under *generation*; False where they may be others' now."""
        if self._words[_GENERATION_AT // _WORD] != generation:
            return False
        data = self._data
        for place in places:  # noqa: SIM110 - a generator takes three times as long
            if data[place : place + 2] != _NOTHING:
                return False
        return True

    def is_drained(self, place: int) -> bool:
        """An operator wants the target not to be asked."""
        return self._data[place + 1] != 0

    def drain(self, place: int) -> None:
        """Note that it is not to be asked."""
        self._data[place + 1] = 1

    def undrain(self, place: int) -> None:
        """Take that back."""
        self._data[place + 1] = 0

    def turn(self, place: int) -> _Turn:
        """A block in which no other process changes the circuit; after 1 ms of waiting it is entered so."""
        return _Turn(self, place, _CIRCUIT_AT + _CIRCUIT_BYTES)

    def circuit(self, place: int) -> Circuit:
        """The target's circuit; `CLOSED` where there is none that is whole."""
        at = place + _CIRCUIT_AT
        for _ in range(_READS):
            data = self._data[at : at + _CIRCUIT_BYTES]
            if _CHECKSUM.unpack_from(data, _CIRCUIT.size)[0] == zlib.crc32(data[: _CIRCUIT.size]):
                return Circuit(*_CIRCUIT.unpack_from(data))
        return CLOSED

    def put(self, place: int, circuit: Circuit) -> None:
        """Keep *circuit*; within a `turn`."""
        fields = _CIRCUIT.pack(*msgspec.structs.astuple(circuit))
        at = place + _CIRCUIT_AT
        self._data[at : at + _CIRCUIT_BYTES] = fields + _CHECKSUM.pack(zlib.crc32(fields))
        self._data[place] = circuit.is_open or circuit.paused_until_s > 0.0

    def count_good(self, place: int, slot: int) -> int:
        """Count an attempt that went well in this slot of time; gives where, for `count_again`."""
        where = self._slot_word(place, slot) + 1
        self._words[where] += 1
        return where

    def count_again(self, place: int, where: int) -> bool:
        """Count one more there, moments later; False where the target is not quiet any more."""
        if self._data[place : place + 2] != _NOTHING:
            return False
        self._words[where] += 1
        return True

    def count_sick(self, place: int, slot: int) -> None:
        """Count one that did not."""
        self._words[self._slot_word(place, slot) + 2] += 1

    def counts(self, place: int, slot: int) -> list[tuple[int, int, int]]:
        """Slot, good and sick of the `SLOTS` that end with *slot*, for each process that counted there."""
        lanes = min(self._words[_LANES_USED_AT // _WORD], LANES)
        start = (place + _LANES_AT) // _WORD
        words = self._words[start : start + lanes * _LANE_WORDS].tolist()
        return [
            (slot - age, words[at + 1], words[at + 2])
            for at in range(0, len(words), _COUNTS_WORDS)
            if (age := (slot - words[at]) & _ALL_BITS) < SLOTS and (words[at + 1] or words[at + 2])
        ]

    def add_sample(self, place: int, sample: Sample) -> None:
        """Keep a sample in place of the oldest."""
        word = (place + _WRITTEN_AT) // _WORD
        written = self._words[word]
        at = place + _SAMPLES_AT + written % SAMPLES * _SAMPLE.size
        first_ms, per_token_ms = sample.first_token_ms, sample.per_output_token_ms
        _SAMPLE.pack_into(
            self._data,
            at,
            sample.at_s,
            nan if first_ms is None else first_ms,
            nan if per_token_ms is None else per_token_ms,
            0.0,
        )
        self._words[word] = (written + 1) & _ALL_BITS

    def written(self, place: int) -> int:
        """How many samples there have been."""
        return self._words[(place + _WRITTEN_AT) // _WORD]

    def samples(self, place: int) -> list[Sample]:
        """The last ones, in no order."""
        count = min(self.written(place), SAMPLES)
        at = place + _SAMPLES_AT
        return [
            Sample(at_s, None if isnan(first_ms) else first_ms, None if isnan(per_ms) else per_ms)
            for at_s, first_ms, per_ms, _ in _SAMPLE.iter_unpack(self._data[at : at + count * _SAMPLE.size])
        ]

    def close(self) -> None:
        """Let go of the file."""
        self._words.release()
        self._data.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def lock(self, start: int, length: int) -> bool:
        """Take a turn; see `turn`."""
        self._threads.acquire()
        if self._descriptor is None:
            return False
        if take_lock(self._descriptor, start, length):
            return True
        self._words[self._missed_word] += 1
        return False

    def unlock(self, start: int, length: int, *, is_locked: bool) -> None:
        """End it."""
        if is_locked and self._descriptor is not None:
            give_lock(self._descriptor, start, length)
        self._threads.release()

    def _find(self, key: bytes) -> int | None:
        at = _KEYS_AT
        while (at := self._data.find(key, at, self._keys_end)) >= 0:
            number, beside = divmod(at - _KEYS_AT, _KEY_BYTES)
            if not beside:
                return self._first + number * _PLACE_BYTES
            at += 1
        return None

    def _take_place(self, key: bytes) -> int:
        """A place for *key*: one that is free, or that of the target that has been quiet for longest."""
        number = self._free_place()
        place = self._first + number * _PLACE_BYTES
        key_at = _KEYS_AT + number * _KEY_BYTES
        self._data[key_at : key_at + _KEY_BYTES] = _NO_KEY
        self._data[place : place + _PLACE_BYTES] = bytes(_PLACE_BYTES)
        self.put(place, CLOSED)
        self._words[(place + _USED_AT) // _WORD] = int(self._now_s()) & _ALL_BITS
        self._data[key_at : key_at + _KEY_BYTES] = key
        self._words[_TAKEN_AT // _WORD] = (self.taken + 1) & _ALL_BITS
        return place

    def _free_place(self) -> int:
        free = self._find(_NO_KEY)
        if free is not None:
            return (free - self._first) // _PLACE_BYTES
        self._words[_GENERATION_AT // _WORD] = (self.generation + 1) & _ALL_BITS
        return min(range(self._places), key=self._worth)

    def _worth(self, number: int) -> tuple[bool, int]:
        place = self._first + number * _PLACE_BYTES
        return self.is_drained(place), self._words[(place + _USED_AT) // _WORD]

    def _slot_word(self, place: int, slot: int) -> int:
        """Where this process counts what ends in *slot*."""
        word = place // _WORD + self._lane_word + slot % SLOTS * _COUNTS_WORDS
        number = slot & _ALL_BITS
        words = self._words
        if words[word] != number:
            words[word + 1] = words[word + 2] = 0
            words[word] = number
            words[(place + _USED_AT) // _WORD] = int(self._now_s()) & _ALL_BITS
        return word


class _Turn:
    __slots__ = ("_board", "_is_locked", "_length", "_start")

    def __init__(self, board: TargetBoard, start: int, length: int) -> None:
        self._board = board
        self._start = start
        self._length = length
        self._is_locked = False

    def __enter__(self) -> None:
        self._is_locked = self._board.lock(self._start, self._length)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._board.unlock(self._start, self._length, is_locked=self._is_locked)


def board_in_memory(*, places: int = PLACES, now_s: Callable[[], float] = time.time) -> TargetBoard:
    """A board of this process alone; it takes no room until it is used."""
    return TargetBoard(mmap.mmap(-1, _size(places)), places=places, now_s=now_s)


def open_board(path: Path, *, places: int = PLACES, now_s: Callable[[], float] = time.time) -> TargetBoard:
    """The board in the file *path*, which is begun if there is none, or none of this size and version.

    A process opens it once: closing one of two would end the locks of both.

    Raises:
        OSError: The file cannot be made or read, or another process has been opening it for seconds.
    """
    descriptor, data = open_mapped(path, _header(places), _size(places))
    # A lane that no living process counts in; its lock is kept to the end of the process.
    lane = take_free_lock(descriptor, _LANE_LOCKS_AT, LANES)
    return TargetBoard(
        data,
        descriptor=descriptor,
        places=places,
        lane=os.getpid() % LANES if lane is None else lane,
        now_s=now_s,
    )


def key_of(name: str) -> bytes:
    """What stands for the target *name* on every board."""
    return hashlib.blake2b(name.encode(), digest_size=_KEY_BYTES).digest()


def _first_place(places: int) -> int:
    return -(-(_KEYS_AT + places * _KEY_BYTES) // 64) * 64


def _size(places: int) -> int:
    return _first_place(places) + places * _PLACE_BYTES


def _header(places: int) -> bytes:
    return _HEADER.pack(_MAGIC, _PLACE_BYTES, SAMPLES, SLOTS, LANES, places).ljust(_HEADER_BYTES, b"\0")
