"""What a JSON reply used that is too long to be held, read while it passes.

A picture that was drawn or edited is megabytes of base64 with the usage behind it, and so are embeddings.

Pure. Whatever comes, nothing is raised: the caller gets the bytes, and judges them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.endpoints.openai_events import ObjectFacts, TypedReply, object_facts
from gateway.endpoints.passing_usage import read_passed
from gateway.model import Dialect
from gateway.wire.json_members import MembersOfObject

MAX_MEMBER_BYTES: Final = 64 * 1024
"""No usage, id or name of a model is longer."""

_GENERATED: Final = "candidates"
_WANTED: Final = (
    *("id", "model", "status", "usage", "usage_info", "task", "duration"),
    *("meta", "prompt_eval_count", "eval_count"),
    *(_GENERATED, "usageMetadata", "responseId", "modelVersion"),
)


class PassingObject:
    """One such reply; the interface of `passing_stream.PassingStream`."""

    def __init__(self, dialect: Dialect) -> None:
        """Look at one; *dialect* as `read_passed` has it."""
        self._dialect: Dialect = dialect
        self._members = MembersOfObject(_WANTED, max_bytes=MAX_MEMBER_BYTES)

    def see(self, data: bytes) -> None:
        """Look at a piece of it."""
        self._members.feed(data)

    def end(self) -> None:
        """What has been found by then is all there is."""

    def facts(self) -> ObjectFacts:
        """What was learned so far."""
        found = dict(self._members.found)
        if _GENERATED in self._members.too_long:
            # That there are any tells whose shape the reply has.
            found[_GENERATED] = msgspec.Raw(b"[]")
        told = read_passed(self._dialect, msgspec.json.encode(found))
        return told or object_facts(TypedReply(), None)
