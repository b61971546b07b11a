"""Reading a stream of Messages while it is relayed.

Bytes pass through unchanged, in whole server-sent events. Only events that can matter (the start, the last
delta, an error, the end) are taken apart once there is content.

Shapes: https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.endpoints.anthropic_reply import add_up_usage, read_message_usage
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    ReplyFacts,
    estimate_usage,
    text_of,
)
from gateway.endpoints.said_text import OF_MESSAGE, said_bytes, text_bytes
from gateway.endpoints.stream_reading import StreamReading, is_one_object, may_be_broken, read_event
from gateway.wire.sse import DATA_LINE, EventCutter, count_data_lines, split_events

_TELLING: Final = re.compile(rb'"type"\s*:\s*"(?:message_start|message_delta|message_stop|error|fallback)"')
_BLOCKS_WITHOUT_CONTENT: Final = frozenset({"", "text", "thinking"})


class MessageFacts:
    """What the events of one stream say of it, whoever gets them.

    Attributes:
        id: Of the message, "" while unknown.
        model: As the provider names it, "" while unknown.
        has_content: The reply itself has begun: a text, a thought, a tool, a reason to stop. A ping or the
            start of an empty block is none, nor is an end without anything before it.
        is_done: `message_stop` was seen.
        failure: Body of an error that came inside the stream, b"" while there is none.
        pieces: Events so far, of a token at least.
        said_bytes: Text of the answer so far.
    """

    def __init__(self, asked_bytes: int) -> None:
        self._asked_bytes = asked_bytes
        self._usage: dict[str, Any] = {}
        self.id = ""
        self.model = ""
        self._stop_reason = ""
        self.has_content = False
        self.is_done = False
        self.failure = b""
        self.pieces = 0
        self.said_bytes = 0

    @property
    def usage(self) -> dict[str, Any]:
        """The provider's own counts until here, as it names them."""
        return self._usage

    def learn(self, event: Any, data: bytes) -> None:
        """Take one event, decoded and as it came."""
        if not isinstance(event, dict):
            return
        self.pieces += 1
        match event.get("type"):
            case "message_start":
                message = event.get("message")
                message = message if isinstance(message, dict) else {}
                self.id = text_of(message.get("id"))
                self.model = text_of(message.get("model"))
                self._usage = add_up_usage(self._usage, message.get("usage"))
            case "content_block_start":
                block = event.get("content_block")
                kind = text_of(block.get("type")) if isinstance(block, dict) else ""
                self.said_bytes += said_bytes(block)
                self.has_content = self.has_content or kind not in _BLOCKS_WITHOUT_CONTENT
                match block:
                    case {"type": "fallback", "to": {"model": str(model)}}:
                        # The model had declined, and this one goes on.
                        self.model = text_of(model) or self.model
            case "content_block_delta":
                delta = event.get("delta")
                said = delta.items() if isinstance(delta, dict) else ()
                self.has_content = self.has_content or any(value for name, value in said if name != "type")
                self.said_bytes += said_bytes(delta)
            case "message_delta":
                delta = event.get("delta")
                # There may be several, of which one says why it ended.
                reason = text_of(delta.get("stop_reason")) if isinstance(delta, dict) else ""
                self._stop_reason = reason or self._stop_reason
                self._usage = add_up_usage(self._usage, event.get("usage"))
                self.has_content = True
            case "message_stop":
                self.is_done = True
            case "error":
                self.failure = data

    def facts(self, *, unread_tokens: int = 0) -> ReplyFacts:
        """What was learned so far; of a stream that is not complete the usage is partial.

        Args:
            unread_tokens: A guess for events that were too long to be looked at.
        """
        said = max(self.pieces, self.said_bytes // BYTES_PER_TOKEN) + unread_tokens
        usage = read_message_usage(self._usage) or estimate_usage(self._asked_bytes, said * BYTES_PER_TOKEN)
        if not self.is_done or self.failure:
            # What was begun says a token or so of output; what came tells more.
            said = max(usage.output_tokens or 0, said)
            usage = msgspec.structs.replace(usage, output_tokens=said, source="partial")
        return ReplyFacts(
            response_id=self.id,
            response_model=self.model,
            finish_reasons=(self._stop_reason,) if self._stop_reason else (),
            usage=usage,
        )


class MessageReading(StreamReading[MessageFacts]):
    """What a stream of a message has told so far, for whoever reads one."""

    def __init__(self, asked_bytes: int) -> None:
        super().__init__(MessageFacts(asked_bytes))


class MessageStreamReader(MessageReading):
    """One stream of a message, from Anthropic's dialect to the same."""

    def __init__(self, *, asked_bytes: int) -> None:
        super().__init__(asked_bytes)
        self._cutter = EventCutter()

    def feed(self, data: bytes) -> bytes:
        """Take *data* and give what the client is to get now: whole events, maybe none.

        Raises:
            UpstreamBadReply: One event is too long (`wire.sse`), or is seen to be no JSON.
        """
        whole = self._cutter.cut(data)
        facts = self._facts
        if (
            facts.id
            and facts.has_content
            and not facts.is_done
            and not facts.failure
            and not _TELLING.search(whole)
        ):
            if is_one_object(whole):
                facts.pieces += 1
                facts.said_bytes += text_bytes(OF_MESSAGE, whole)
                return whole
            if not may_be_broken(whole):
                facts.pieces += count_data_lines(whole)
                facts.said_bytes += text_bytes(OF_MESSAGE, whole)
                return whole
        return b"".join([event for event in split_events(whole) if self._passes(event)])

    def finish(self) -> bytes:
        """Take the end of the stream; half a line is never given."""
        event = self._cutter.rest()
        return event + b"\n\n" if event and self._passes(event) else b""

    def _passes(self, event: bytes) -> bool:
        """Read one event; False when the client is not to see it."""
        if self.has_ended:
            # Nothing may follow an error, above all no end that makes the reply look whole; nor an end.
            return False
        lines = DATA_LINE.findall(event)
        if not lines:
            return True
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        if not data:
            return True
        found = read_event(data)
        self.has_data = self.has_data or not (isinstance(found, dict) and found.get("type") == "ping")
        self._facts.learn(found, data)
        return True
