"""One JSON array that comes in pieces: where its elements end.

Google streams so to whoever does not ask for server-sent events. Only brackets and quotes are looked at, so
what passes is never written anew.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import UpstreamBadReply
from gateway.wire.sse import MAX_EVENT_BYTES

_TELLING: Final = re.compile(rb'\\[\s\S]|["{}\[\]]')
_BEFORE: Final = b"[, \t\r\n"
_OPENING: Final = b"{["


class ArrayCutter:
    """Cuts the text of an array of objects after each of them.

    Attributes:
        is_closed: The array has ended.
        tail: What of the next element is here already; once the array has ended, what follows the last.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self.tail = b""
        self._scanned = 0
        self._depth = 0
        self._is_in_text = False

    def cut(self, data: bytes) -> list[bytes]:
        """Take *data* and give the elements that are whole now, each with what stands before it.

        Raises:
            UpstreamBadReply: It is no array, or one element is longer than `MAX_EVENT_BYTES`.
        """
        buffer = self.tail + data if self.tail else data
        pieces: list[bytes] = []
        begin, end = 0, self._scanned
        for found in _TELLING.finditer(buffer, self._scanned):
            end = found.end()
            if self._closes(found[0]):
                pieces.append(buffer[begin:end])
                begin = end
        # A lone backslash at the end belongs to what comes next.
        is_half = buffer.endswith(b"\\") and end < len(buffer)
        self.tail = buffer[begin:]
        self._scanned = len(self.tail) - is_half
        if len(self.tail) > MAX_EVENT_BYTES:
            raise UpstreamBadReply(f"The provider sent a stream element of over {MAX_EVENT_BYTES} bytes.")
        return pieces

    def _closes(self, mark: bytes) -> bool:
        """Take one mark; True where it ends an element."""
        if mark == b'"':
            self._is_in_text = not self._is_in_text
        elif not self._is_in_text and not self.is_closed and len(mark) == 1:
            if self._depth == 0 and mark != b"[":
                raise UpstreamBadReply("The provider was asked for a JSON array and sent something else.")
            self._depth += 1 if mark in _OPENING else -1
            self.is_closed = self._depth == 0
            return self._depth == 1 and mark not in _OPENING
        return False


def element_of(piece: bytes) -> bytes:
    """The element in a piece that `ArrayCutter` gave."""
    return piece.lstrip(_BEFORE)
