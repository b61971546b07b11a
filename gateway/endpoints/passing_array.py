"""What an array of Google's used that is too long to be held, read while it passes.

`streamGenerateContent` answers so whoever asks for no events: each element is a piece of the reply, with the
usage so far. Another's array is not taken apart: its first element tells.

Pure. Whatever comes, nothing is raised: the caller gets the bytes, and judges them.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateway.endpoints.gemini_stream import GeneratedFacts
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.endpoints.passing_usage import array_facts, find_passed
from gateway.wire.json_members import MembersOfObject

CANDIDATES: Final = "candidates"
GENERATED: Final = (CANDIDATES, "usageMetadata", "responseId", "modelVersion")
"""What is read of an element, and of an object that is one."""

_BETWEEN: Final = re.compile(rb"[, \t\r\n]*")


class PassingArray:
    """One such array, behind its opening bracket."""

    def __init__(self, max_member_bytes: int) -> None:
        """Look at one.

        Args:
            max_member_bytes: The longest member of an element that is held.
        """
        self._max_member_bytes = max_member_bytes
        self._facts = GeneratedFacts(asked_bytes=0)
        self._element: MembersOfObject | None = None
        self._is_over = False

    def see(self, data: bytes) -> None:
        """Look at a piece of it."""
        at = 0
        while not self._is_over:
            if self._element is None:
                between = _BETWEEN.match(data, at)
                at = at if between is None else between.end()
                if at == len(data):
                    return
                # Else it is the end, or no array of objects.
                self._is_over = not data.startswith(b"{", at)
                self._element = MembersOfObject(GENERATED, max_bytes=self._max_member_bytes)
            at = self._element.feed(data, at)
            if not self._element.is_over:
                return
            self._take(members_in(self._element))
            self._element = None

    def facts(self) -> ObjectFacts | ReplyFacts | None:
        """What was learned so far, partial while the end is missing; None of another's array."""
        if not self._facts.pieces or self._is_over:
            return array_facts(self._facts)
        return self._facts.facts(is_complete=False)

    def _take(self, element: bytes) -> None:
        told = find_passed(element)
        if told is None or not told.is_generated:
            # Another's array, or the error that ends this one.
            self._is_over = True
        else:
            self._facts.learn(find_object(element), element)


def members_in(object_: MembersOfObject) -> bytes:
    """The members that were found, as an object; that it has answers shows also where these are too long."""
    found = dict(object_.found)
    if CANDIDATES in object_.too_long:
        found[CANDIDATES] = msgspec.Raw(b"[]")
    return msgspec.json.encode(found)
