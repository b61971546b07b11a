"""Reading a stream of generateContent that comes as one JSON array, while it is relayed.

Bytes pass unchanged, in whole elements; each is what an event has as its data.
"""

from __future__ import annotations

from typing import Final

from gateway.endpoints.gemini_stream import GeneratedReading
from gateway.endpoints.stream_reading import read_event
from gateway.wire.json_array import ArrayCutter, element_of

_END: Final = b"\n]\n"


class GeneratedArrayReader(GeneratedReading):
    """One stream, from Google's dialect to the same."""

    def __init__(self, *, asked_bytes: int) -> None:
        super().__init__(asked_bytes)
        self._cutter = ArrayCutter()

    def feed(self, data: bytes) -> bytes:
        """Take *data* and give what the client is to get now: whole elements, maybe none.

        Raises:
            UpstreamBadReply: It is no array, or one element is too long (`wire.json_array`) or no JSON.
        """
        passed: list[bytes] = []
        for piece in self._cutter.cut(data):
            passed.append(piece)
            self._learn(element_of(piece))
            if self._facts.failure:
                # Nothing may follow an error; what came has to be an array for all that.
                passed.append(_END)
                break
        return b"".join(passed)

    def finish(self) -> bytes:
        """Take the end of the stream; half an element is never given."""
        if self._facts.failure:
            return b""
        self._is_over = self._cutter.is_closed
        # Of a stream that lacks something the caller gets an error within the array.
        return self._cutter.tail if self.is_complete else b""

    def _learn(self, element: bytes) -> None:
        self.has_data = True
        self._facts.learn(read_event(element), element)
