"""What a process counts while another one keeps the file of counters to itself.

Each process has a page of notes in the file that it alone writes, so it needs no lock for that; who has the
file next counts what is noted. A note has what its process wrote, and how much of that has been counted: two
figures with one writer each, so that nothing is counted twice or lost, whoever stops when. Who is killed
between counting a note and saying so leaves too much counted, never too little.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Final

from gateway.model import ROLLING_SLOTS, TABLE_KEY_BYTES
from gateway.store.counter_places import WORD

NOTES: Final = 1024
"""Of one process: counters, or slots of their windows, that are noted until the file is free again."""

PROCESSES: Final = 128
"""Of a host that count at once: each writes on a page of its own, or notes of two would be lost."""

_FIGURES_BYTES: Final = PROCESSES * WORD
NOTED_WORD: Final = 113
"""Of the file: 1 where something may be noted that is not counted. Whoever notes raises it after that, and it
falls before the last look at what is noted; of a process that is killed between, the next to begin counts it.
"""

_COUNT_BYTES: Final = WORD
_WINDOW, _EXPIRES, _SLOT, _AMOUNT, _COUNTED = range(5)
_NOTE_WORDS: Final = 5
_PAGE_BYTES: Final = _COUNT_BYTES + NOTES * (TABLE_KEY_BYTES + _NOTE_WORDS * WORD)

BYTES: Final = 2 * _FIGURES_BYTES + PROCESSES * _PAGE_BYTES

Count = Callable[[int, bytes, int, int, int, int], None]
"""What counts a note: of which process, key, window, end, slot, amount."""


class Notes:
    """The pages of all processes; this one writes on that of its number."""

    def __init__(self, data: mmap.mmap, words: memoryview[int], start: int, process: int) -> None:
        """Use *data*, which *words* shows as signed words of 64 bits, from *start*."""
        self._data = data
        self._words = words
        self._versions_at = start
        self._seen_at = start + _FIGURES_BYTES
        self._start = start + 2 * _FIGURES_BYTES
        self._process = process
        self._own: dict[tuple[bytes, int], int] = {}

    @property
    def are_counted(self) -> bool:
        """Nothing is noted that is not counted too."""
        return self._data[self._versions_at : self._seen_at] == self._data[self._seen_at : self._start]

    def write(self, key: bytes, window_s: int, expires_s: int, slot: int, amount: int) -> bool:
        """Note *amount*; False when the page is full."""
        words = self._words
        number = self._own.get((key, slot))
        if number is None:
            count_word = self._page(self._process) // WORD
            number = words[count_word]
            if number >= NOTES:
                return False
            key_at = self._key_at(self._process, number)
            note = self._note(self._process, number)
            for at, value in enumerate((window_s, expires_s, slot, 0, 0)):
                words[note + at] = value
            self._data[key_at : key_at + TABLE_KEY_BYTES] = key
            words[count_word] = number + 1
            self._own[key, slot] = number
        words[self._note(self._process, number) + _AMOUNT] += amount
        words[self._versions_at // WORD + self._process] += 1
        words[NOTED_WORD] = 1
        return True

    def noted(self, key: bytes, slot: int) -> int:
        """What is noted of a counter, of its window that ends with *slot*, and not counted yet."""
        if self.are_counted:
            return 0
        words, noted = self._words, 0
        for process in self._uncounted():
            start = at = self._key_at(process, 0)
            end = start + words[self._page(process) // WORD] * TABLE_KEY_BYTES
            while (at := self._data.find(key, at, end)) >= 0:
                number, beside = divmod(at - start, TABLE_KEY_BYTES)
                note = self._note(process, number)
                if not beside and words[note + _SLOT] >= slot - ROLLING_SLOTS:
                    noted += words[note + _AMOUNT] - words[note + _COUNTED]
                at += 1
        return noted

    def settle(self, count: Count) -> None:
        """Count what is noted; whoever does has the file to itself."""
        words = self._words
        for process in self._uncounted():
            version = words[self._versions_at // WORD + process]
            for number in range(words[self._page(process) // WORD]):
                note = self._note(process, number)
                amount = words[note + _AMOUNT]
                left = amount - words[note + _COUNTED]
                if left:
                    key_at = self._key_at(process, number)
                    window_s, expires_s, slot = words[note : note + _AMOUNT].tolist()
                    key = self._data[key_at : key_at + TABLE_KEY_BYTES]
                    # Who stops in between shows the others too much: too little would let them pass a limit.
                    if left < 0:
                        words[note + _COUNTED] = amount
                    count(process, key, window_s, expires_s, slot, left)
                    words[note + _COUNTED] = amount
            words[self._seen_at // WORD + process] = version
        words[NOTED_WORD] = 0
        if not self.are_counted:
            words[NOTED_WORD] = 1

    def begin_page(self) -> None:
        """Forget what this process noted, all of which is counted."""
        if self._own or self._words[self._page(self._process) // WORD]:
            self._words[self._page(self._process) // WORD] = 0
            self._own.clear()

    def _uncounted(self) -> list[int]:
        start = self._versions_at // WORD
        versions = self._words[start : start + PROCESSES].tolist()
        seen = self._words[start + PROCESSES : start + 2 * PROCESSES].tolist()
        return [process for process in range(PROCESSES) if versions[process] != seen[process]]

    def _page(self, process: int) -> int:
        return self._start + process * _PAGE_BYTES

    def _key_at(self, process: int, number: int) -> int:
        return self._page(process) + _COUNT_BYTES + number * TABLE_KEY_BYTES

    def _note(self, process: int, number: int) -> int:
        """The first word of a note."""
        start = self._page(process) + _COUNT_BYTES + NOTES * TABLE_KEY_BYTES
        return start // WORD + number * _NOTE_WORDS
