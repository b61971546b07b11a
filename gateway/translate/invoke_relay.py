"""Bedrock's `InvokeModel` on both sides: bytes pass as they are, in whole messages, whatever the model."""

from __future__ import annotations

from gateway.endpoints.invoke_reply import InvokeFacts, read_invoke
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Call
from gateway.translate.converse_relay import path, write
from gateway.translate.unchanged import read_error
from gateway.wire.aws_event_stream import EventStreamParser

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:  # noqa: ARG001 - the interface of a pair
    """The reply as it came."""
    return body, read_invoke(body, asked_bytes=call.body_bytes)


def open_stream(call: Call, *, started_at_ns: int) -> InvokeRelayStream:  # noqa: ARG001 - the interface of a pair
    """Whole messages as they come."""
    return InvokeRelayStream(asked_bytes=call.body_bytes)


class InvokeRelayStream:
    """One stream of a model's own pieces.

    Attributes:
        has_data: A message has come.
    """

    def __init__(self, *, asked_bytes: int) -> None:
        self._facts = InvokeFacts(asked_bytes)
        self._parser = EventStreamParser()
        self.has_data = False

    def feed(self, data: bytes) -> bytes:
        """Take *data* and give what the caller is to get now; nothing that follows the end or an error.

        Raises:
            UpstreamBadReply: It is no event stream (`wire.aws_event_stream`).
        """
        given = []
        for message in self._parser.feed(data):
            if self.has_ended:
                break
            self.has_data = True
            self._facts.learn(message)
            given.append(message.raw)
        return b"".join(given)

    def finish(self) -> bytes:
        """Take the end of the stream; half a message is never given."""
        return b""

    @property
    def has_content(self) -> bool:
        """The reply itself has begun."""
        return self._facts.has_content

    @property
    def failure(self) -> bytes:
        """Body of an error that came inside the stream, b"" while there is none."""
        return self._facts.failure

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow: the end or an error was seen."""
        return self._facts.is_done or bool(self._facts.failure)

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole."""
        return self._facts.is_done and not self._facts.failure

    def facts(self) -> ReplyFacts:
        """What was learned so far."""
        return self._facts.facts()
