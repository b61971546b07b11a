"""Reading a stream of Bedrock's Converse, whoever gets it.

Its events are messages of AWS's event stream. The answer ends with `messageStop`, and the stream with
`metadata`, which has the usage. An error inside is a message of another type, and nothing follows it.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.endpoints.converse_error import failure_in
from gateway.endpoints.converse_reply import read_converse_usage, routed_model
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import BYTES_PER_TOKEN, ReplyFacts, estimate_usage, text_of
from gateway.endpoints.said_text import said_bytes
from gateway.endpoints.stream_reading import StreamReading
from gateway.wire.aws_event_stream import EventMessage, EventStreamParser


class ConverseFacts:
    """What the messages of one stream say of it.

    Attributes:
        has_content: The reply itself has begun: a text, a thought, a tool, a reason to stop. The start of the
            message or an empty piece is none.
        stop_reason: "" while the answer goes on.
        usage: Bedrock's own counts, None before they came.
        is_done: `metadata` was seen.
        failure: Body of an error that came inside the stream, b"" while there is none.
        pieces: Pieces of the answer so far, of a token at least.
    """

    def __init__(self, asked_bytes: int) -> None:
        self._asked_bytes = asked_bytes
        self._model = ""
        self.has_content = False
        self.stop_reason = ""
        self.usage: Any = None
        self.is_done = False
        self.failure = b""
        self.pieces = 0
        self._said_bytes = 0

    def learn(self, message: EventMessage) -> dict[str, Any]:
        """Take one message.

        Returns:
            What it says: its payload, or an empty object where that is none.
        """
        event = find_object(message.payload) or {}
        if message.is_failure:
            self.failure = failure_in(message)
            return event or {"message": message.error_message}
        match message.kind:
            case "contentBlockStart":
                self.has_content = self.has_content or bool(event.get("start"))
            case "contentBlockDelta":
                self.pieces += 1
                self._said_bytes += said_bytes(event.get("delta"))
                self.has_content = self.has_content or _says_something(event.get("delta"))
            case "messageStop":
                self.stop_reason = text_of(event.get("stopReason"))
                self.has_content = True
            case "metadata":
                self.usage = event.get("usage")
                self._model = routed_model(event.get("trace"))
                self.has_content = self.is_done = True
        return event

    def facts(self) -> ReplyFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        said = max(self._said_bytes, self.pieces * BYTES_PER_TOKEN)
        usage = read_converse_usage(self.usage) or estimate_usage(self._asked_bytes, said)
        if not self.is_done or self.failure:
            usage = msgspec.structs.replace(usage, source="partial")
        return ReplyFacts(
            response_id="",
            response_model=self._model,
            finish_reasons=(self.stop_reason,) if self.stop_reason else (),
            usage=usage,
        )


class ConverseReading(StreamReading[ConverseFacts]):
    """What a stream of Converse has told so far, for whoever reads one."""

    def __init__(self, asked_bytes: int) -> None:
        super().__init__(ConverseFacts(asked_bytes))
        self._parser = EventStreamParser()

    def read(self, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """The kind of each message that is whole now, and what it says; none after the end or an error.

        Raises:
            UpstreamBadReply: It is no event stream (`wire.aws_event_stream`).
        """
        for message in self._parser.feed(data):
            if self.has_ended:
                return
            self.has_data = True
            yield message.kind, self._facts.learn(message)

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come, after which a usage may follow."""
        return bool(self._facts.stop_reason)

    def finish(self) -> bytes:
        """What the end of the stream adds for the caller: nothing, as half a message is never given."""
        return b""


def _says_something(delta: object) -> bool:
    """Whether a piece of the answer is more than the form of one: a text, or a member of what has a name."""
    told = delta.values() if isinstance(delta, dict) else ()
    return any(any(value.values()) if isinstance(value, dict) else value for value in told)
