"""How many things a long body is made of, before anything is made of them.

Time and memory for reading JSON go by its things, not by its bytes: 23 MB of text is read in a few
milliseconds, the same of two million names in a second, and nobody else has the interpreter meanwhile. So
what is long is looked through first, in pieces, for nothing but the marks outside its texts. More of them
than any call has are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf
from typing import Final, NamedTuple

import msgspec

from gateway.endpoints.openai_call import too_many_members
from gateway.errors import InvalidBody

MAX_THINGS: Final = 250_000
"""Names, objects and lists. A conversation of 60,000 messages has as many, and no model takes one."""

MAX_COMMAS: Final = 4_000_000
"""Tokens in lists, of a batch; no API takes so many at once."""


class Bounds(NamedTuple):
    """How much a body may be made of, beside its own members.

    Attributes:
        things: As `MAX_THINGS`.
        commas: As `MAX_COMMAS`.
    """

    things: float
    commas: float


OF_CALL: Final = Bounds(MAX_THINGS, MAX_COMMAS)
OF_PASSED: Final = Bounds(inf, inf)
"""Only its members are told apart, as fast as its bytes are read: a batch of Google's is 20 MB of calls."""

_MAX_MEMBERS: Final = 20_000
"""Of the object itself: whoever reads it counts exactly, and needs 2 ms to have so many."""

_PIECE_BYTES: Final = 128 * 1024
_FEW_BYTES: Final = 4096
_FEW_COMMAS: Final = 64
_OBJECT: Final = re.compile(rb"[ \t\r\n]*\{")
_INNERMOST: Final = re.compile(rb"[\[{][^\[\]{}]*[\]}]")
_BRACKET: Final = re.compile(rb"[\[\]{}]")
_OPENING: Final = b"[{"


MAYBE_MANY_BYTES: Final = 64 * 1024
"""What is shorter has no room for `MANY_OBJECTS` that say anything."""

MANY_OBJECTS: Final = 2_000
"""To put so many into other words takes 10 ms and more."""


def has_many_objects(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a body may be made of so many; braces in its texts count too, so that this is quickly seen."""
    left = MANY_OBJECTS
    for raw in fields.values():
        value = bytes(raw)
        at = value.find(b"{")
        while at >= 0:
            left -= 1
            if not left:
                return True
            at = value.find(b"{", at + 1)
    return False


class LongJson:
    """Looks through one body.

    Attributes:
        is_over: It has been looked through, or is no JSON object.
        is_dense: A piece has so much that it, and the rest, is not soon done: some milliseconds each.
    """

    def __init__(self, body: bytes, *, bounds: Bounds) -> None:
        """Look at *body*, of which nothing is known yet."""
        self._body = body
        self._bounds = bounds
        self._at = 0
        self._is_in_text = False
        self._depth = 0
        self._things = 0
        self._commas = 0
        self._members = 0
        self.is_over = _OBJECT.match(body) is None
        self.is_dense = False

    def look_to_its_end(self) -> None:
        """Look through all of the rest; raises as `look_on`."""
        while not self.is_over:
            self.look_on()

    def look_on(self) -> None:
        """Look through the next piece, unless it is the first dense one.

        Raises:
            InvalidBody: There are too many things.
        """
        piece = self._body[self._at : self._at + _PIECE_BYTES]
        if len(piece) == _PIECE_BYTES and (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            # It goes with what it escapes.
            piece = piece[:-1]
        # What has no quote is a picture, as a rule.
        if not self._is_in_text or b'"' in piece:
            # Pairs of backslashes first: a quote behind one is the end of a text.
            parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
            outside = b"".join(parts[1::2] if self._is_in_text else parts[::2])
            if not self.is_dense and len(outside) > _FEW_BYTES:
                self.is_dense = True
                return
            self._is_in_text ^= len(parts) % 2 == 0
            self._count(outside)
        self._at += len(piece)
        self.is_over = self._at >= len(self._body)
        most_things, most_commas = self._bounds
        if self._things > most_things:
            msg = f"The body has more than {most_things} names, objects and lists. Send less in one call."
            raise InvalidBody(msg)
        if self._commas > most_commas:
            msg = f"The lists in the body have more than {most_commas} items. Send less in one call."
            raise InvalidBody(msg)
        if self._members > _MAX_MEMBERS:
            raise too_many_members()

    def _count(self, outside: bytes) -> None:
        opened = outside.count(b"{") + outside.count(b"[")
        commas = outside.count(b",")
        self._things += opened + outside.count(b":")
        self._commas += commas
        if commas > _FEW_COMMAS:
            self._count_members(outside)
        else:
            self._depth += opened - outside.count(b"}") - outside.count(b"]")

    def _count_members(self, outside: bytes) -> None:
        """Count the commas that are in no other object or list."""
        # Most are found without a step for each: a conversation has no more than two of them in one another.
        outside = _INNERMOST.sub(b"", _INNERMOST.sub(b"", outside))
        at = 0
        for mark in _BRACKET.finditer(outside):
            if self._depth == 1:
                self._members += outside.count(b",", at, mark.start())
            self._depth += 1 if mark[0] in _OPENING else -1
            at = mark.end()
        if self._depth == 1:
            self._members += outside.count(b",", at)
