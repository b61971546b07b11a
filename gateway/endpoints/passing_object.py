"""What a JSON reply used that is too long to be held, read while it passes.

A picture that was drawn or edited is megabytes of base64 with the usage behind it, and so are embeddings. In
an array of Google's each element is read so.

Pure. Whatever comes, nothing is raised: the caller gets the bytes, and judges them.
"""

from __future__ import annotations

from typing import Final

from gateway.endpoints.openai_events import ObjectFacts, TypedReply, object_facts
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.endpoints.passing_array import GENERATED, PassingArray, members_in
from gateway.endpoints.passing_usage import read_passed
from gateway.model import Dialect
from gateway.wire.json_members import MembersOfObject

MAX_MEMBER_BYTES: Final = 64 * 1024
"""No usage, id or name of a model is longer."""

_WANTED: Final = (
    *("id", "model", "status", "usage", "usage_info", "task", "duration"),
    *("meta", "prompt_eval_count", "eval_count"),
    *GENERATED,
)


class PassingObject:
    """One such reply, or array; the interface of `passing_stream.PassingStream`."""

    def __init__(self, dialect: Dialect) -> None:
        """Look at one; *dialect* as `read_passed` has it."""
        self._dialect: Dialect = dialect
        self._array: PassingArray | None = None
        self._has_begun = False
        self._members = MembersOfObject(_WANTED, max_bytes=MAX_MEMBER_BYTES)

    def see(self, data: bytes) -> None:
        """Look at a piece of it."""
        if not self._has_begun:
            data = data.lstrip(b" \t\r\n")
            self._has_begun = bool(data)
            if data.startswith(b"["):
                self._array, data = PassingArray(MAX_MEMBER_BYTES), data[1:]
        if self._array is not None:
            self._array.see(data)
        else:
            self._members.feed(data)

    def end(self) -> None:
        """What has been found by then is all there is."""

    def facts(self) -> ObjectFacts | ReplyFacts:
        """What was learned so far."""
        told = self._array.facts() if self._array is not None else self._told()
        return told or object_facts(TypedReply(), None)

    def _told(self) -> ObjectFacts | None:
        return read_passed(self._dialect, members_in(self._members))
