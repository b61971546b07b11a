"""What a pair of dialects can do: the five functions that every file of a pair has."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import UnsupportedParameter
from gateway.model import Call, Target


class Refusal(msgspec.Struct, frozen=True):
    """A provider's own error as its caller gets it.

    Attributes:
        retry_after_s: When to try again, where the error says it and no header does.
    """

    status: int
    body: bytes
    retry_after_s: int | None = None


class ReplyStream(Protocol):
    """One stream on its way from a target to a caller."""

    @property
    def has_data(self) -> bool:
        """An event with data has come."""

    @property
    def has_content(self) -> bool:
        """The reply itself has begun; until then nothing goes out."""

    @property
    def failure(self) -> bytes:
        """Body of an error that came inside the stream, b"" while there is none."""

    def feed(self, data: bytes) -> bytes:
        """Take what the target sent and give what the caller is to get now: whole events, maybe none.

        An error event of the provider comes out in the caller's dialect.

        Raises:
            UpstreamBadReply: It cannot be a stream of this dialect.
        """

    def finish(self) -> bytes:
        """Take the end of the stream and give what the caller is still to get."""

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow."""

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole."""

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come, after which a usage may follow."""

    def facts(self) -> ReplyFacts | ObjectFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""


class Pair(Protocol):
    """How the calls of one endpoint are made of the targets of one dialect. A module is one."""

    def path(self, call: Call, target: Target) -> str:
        """Where to send it: what follows the target's base URL."""

    def write(self, call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
        """The body for *target*, and the names of the fields that had to be left out.

        Raises:
            InvalidBody: A field that has to be read has a wrong shape.
            UnsupportedParameter: The target cannot do what a field asks for.
        """

    def read(self, call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts | ObjectFacts]:
        """A whole good reply: the caller's body, and what was learned from it.

        Args:
            call: What was asked.
            body: As the target sent it.
            started_at_ns: Unix time at which the call came.

        Raises:
            UpstreamBadReply: It is no reply, or one with an error inside.
        """

    def open_stream(self, call: Call, *, started_at_ns: int) -> ReplyStream:
        """What a stream passes through."""

    def read_error(self, status: int, body: bytes) -> Refusal | None:
        """An error of the provider for the caller, None when it is no error that a caller could read."""


class LeftOut:
    """The fields of one call that its target cannot do.

    Attributes:
        names: Those that were left out, in order.
    """

    def __init__(self, target: Target) -> None:
        self.names: list[str] = []
        self._target = target

    def add(self, name: str) -> None:
        """Leave *name* out.

        Raises:
            UnsupportedParameter: The operator wants such calls refused.
        """
        if self._target.unsupported == "reject":
            raise self.refusal(name)
        if name not in self.names:
            self.names.append(name)

    def refusal(self, name: str) -> UnsupportedParameter:
        """The error for what cannot be left out without giving another answer than was asked for."""
        message = f'{self._target.name} cannot do "{name}". Leave it out, or ask another model.'
        return UnsupportedParameter(message, param=name)
