"""One JSON object that comes in pieces: those of its members that somebody wants.

Of all others, and of what is too long, nothing is held: a picture in base64 is searched for its end and for
nothing else. Only quotes, brackets and commas are looked at, so what is malformed within a member that nobody
wants is not noticed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import msgspec

# What lies before the next mark is passed over within one match, whole texts too. Each part begins with
# another byte than the one before can take, and nothing has to follow, so any text takes as long as it
# is. (Python before 3.11.5 finds too little with quantifiers that give nothing back.) So many texts a
# match, since it notes a place for each; the quote of the next is a mark, as is that of a text whose end
# has not come.
_REST_OF_TEXT: Final = rb'[^"\\]*(?:\\[\s\S][^"\\]*)*"'
_IN_TEXT: Final = re.compile(_REST_OF_TEXT)
# A comma matters between members alone: a list of numbers has one every few bytes.
_AT_TOP: Final = re.compile(rb'[^"{}\[\],]*(?:"' + _REST_OF_TEXT + rb'[^"{}\[\],]*){0,256}')
_BELOW: Final = re.compile(rb'[^"{}\[\]]*(?:"' + _REST_OF_TEXT + rb'[^"{}\[\]]*){0,256}')
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_QUOTE: Final = ord('"')
_COMMA: Final = ord(",")
_OPENING: Final = b"{["
_NAME: Final = re.compile(rb'\s*"([^"\\]*)"')
_MAX_NAME_BYTES: Final = 256
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class MembersOfObject:
    """Finds them.

    Attributes:
        found: The wanted members that are whole, as they were written.
        too_long: Names of the wanted ones that are not held for their length.
        is_over: The object has ended, or there is none.
    """

    def __init__(self, wanted: Collection[str], *, max_bytes: int) -> None:
        """Look for some.

        Args:
            wanted: Their names.
            max_bytes: The longest that is held, its name included.
        """
        self.found: dict[str, msgspec.Raw] = {}
        self.too_long: set[str] = set()
        self._wanted = frozenset(wanted)
        self._max_bytes = max_bytes
        self._held = bytearray()
        self._is_skipping = False
        self._depth = 0
        self._is_in_text = False
        self._half = b""
        self.is_over = False

    def feed(self, data: bytes, start: int = 0) -> int:
        """Take the next piece, from *start* on; what is no object is not looked at any more.

        Returns:
            Where in *data* the object has ended, or else their length.
        """
        held_back, self._half = self._half, b""
        if held_back:
            data, start = held_back + data[start:], 0
        begin = start if self._depth or self.is_over else self._begin(data, start)
        at = begin
        while not self.is_over:
            after = self._after_mark(data, at)
            if not after:
                break
            at = after
            if self._ends_member(data[at - 1]):
                self._hold(data, begin, at - 1)
                self._take_member()
                begin = at
        if self.is_over:
            return at - len(held_back)
        end = len(data)
        if self._is_in_text and data.endswith(b"\\") and _ends_half(data[at:]):
            # What it escapes comes with the next piece.
            end -= 1
            self._half = b"\\"
        self._hold(data, begin, end)
        return len(data) - len(held_back)

    def _begin(self, data: bytes, start: int) -> int:
        """Where the members begin in the first piece that is more than blanks."""
        blanks = _BLANKS.match(data, start)
        begin = start if blanks is None else blanks.end()
        if begin < len(data):
            self.is_over = self.is_over or not data.startswith(b"{", begin)
            self._depth = 1
            begin += 1
        return begin

    def _after_mark(self, data: bytes, at: int) -> int:
        """Behind the next mark from *at* on, 0 where there is none."""
        if self._is_in_text:
            # Of a long text most pieces have no quote, which looking for one alone sees ten times as fast.
            text = _IN_TEXT.match(data, at) if data.find(b'"', at) >= 0 else None
            return 0 if text is None else text.end()
        passed = (_AT_TOP if self._depth == 1 else _BELOW).match(data, at)
        return 0 if passed is None or passed.end() == len(data) else passed.end() + 1

    def _ends_member(self, mark: int) -> bool:
        """Take one mark; True where it ends a member."""
        if mark == _QUOTE:
            self._is_in_text = not self._is_in_text
        elif mark == _COMMA:
            return True
        else:
            self._depth += 1 if mark in _OPENING else -1
            self.is_over = not self._depth
        return self.is_over

    def _hold(self, data: bytes, begin: int, end: int) -> None:
        """Hold a part of a member, unless that gets too long."""
        if self._is_skipping:
            return
        if len(self._held) + end - begin <= self._max_bytes:
            self._held += data[begin:end]
            return
        self._is_skipping = True
        self._held += data[begin : min(end, begin + _MAX_NAME_BYTES)]
        named = _NAME.match(self._held)
        name = named[1].decode(errors="replace") if named is not None else ""
        if name in self._wanted:
            self.too_long.add(name)
        self._held.clear()

    def _take_member(self) -> None:
        if not self._is_skipping and self._held.strip():
            try:
                told = _members.decode(b"{" + self._held + b"}")
            except _UNREADABLE:
                self.is_over = True
                told = {}
            # Copied, as each keeps all of the text that it was found in.
            self.found.update({name: raw.copy() for name, raw in told.items() if name in self._wanted})
        self._held.clear()
        self._is_skipping = False


def _ends_half(text: bytes) -> bool:
    """Whether the last backslash escapes something that is not there."""
    return (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
