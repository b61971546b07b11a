"""Bedrock's Converse on both sides: bytes pass as they are, in whole messages. So does counting tokens."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

from gateway.endpoints.converse_reply import read_converse
from gateway.endpoints.converse_stream import ConverseFacts
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import ReplyFacts, excerpt, is_json_object
from gateway.endpoints.stream_reading import StreamFacts, StreamReading
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.unchanged import read_error
from gateway.wire.aws_event_stream import EventMessage, EventStreamParser

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def path(call: Call, target: Target) -> str:
    """The same of Bedrock's own, its model in it; escaped as AWS's SDKs do, which signatures depend on."""
    return call.endpoint.path.replace("{modelId}", quote(target.model_id, safe=""))


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG001 - the interface of a pair
    """The call's own bytes."""
    return call.body, ()


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts | ObjectFacts]:
    """The reply as it came."""
    if call.endpoint.counts_tokens:
        return body, read_converse(body, asked_bytes=call.body_bytes)
    if not is_json_object(body):
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    return body, ObjectFacts("", "", (), None)


def open_stream(call: Call, *, started_at_ns: int) -> MessageRelay:  # noqa: ARG001 - the interface of a pair
    """Whole messages as they come."""
    return MessageRelay(ConverseFacts(call.body_bytes))


class RelayFacts(StreamFacts, Protocol):
    """What is learned of a stream of AWS's, message by message."""

    def learn(self, message: EventMessage) -> object:
        """Take one message."""


class MessageRelay(StreamReading[RelayFacts]):
    """One stream of AWS's, to a caller who speaks the same."""

    def __init__(self, facts: RelayFacts) -> None:
        super().__init__(facts)
        self._parser = EventStreamParser()

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
