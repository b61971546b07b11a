"""Reading what a model of Bedrock answers to an `InvokeModel`: each maker's models have a shape of their own.

What is read is what most of them have somewhere: an id, why it ended, and counts. Counts of Bedrock's own
are in headers of a whole reply and in the last piece of a stream, whatever the model; those of the body come
first where they say more (Claude's tell what was written to the cache for an hour).

Shapes: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.endpoints.anthropic_reply import add_up_usage, read_message_usage
from gateway.endpoints.converse_error import failure_in
from gateway.endpoints.converse_reply import read_converse_usage
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    UNREADABLE,
    ReplyFacts,
    count_of,
    estimate_usage,
    excerpt,
    text_of,
)
from gateway.endpoints.said_text import said_bytes, said_in_choices
from gateway.errors import UpstreamBadReply
from gateway.model import HeaderPairs, Usage
from gateway.wire.aws_event_stream import EventMessage

_METRICS: Final = "amazon-bedrock-invocationMetrics"
_HEADERS: Final = {
    b"x-amzn-bedrock-input-token-count": "inputTokens",
    b"x-amzn-bedrock-output-token-count": "outputTokens",
    b"x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokens",
    b"x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokens",
}
_MAX_DIGITS: Final = 15
# Where the reason is, by the names that makers give it; lists are of answers, and the first one's counts.
_REASONS: Final = ("stop_reason", "stopReason", "finish_reason", "completionReason")
_LISTS: Final = ("choices", "results", "outputs", "generations", "completions")
# Pieces of a stream that announce and say nothing.
_ANNOUNCING: Final = frozenset({"message_start", "ping", "content_block_start"})
_NOTHING: Final = msgspec.Raw(b"null")
_MANY: Final = (b"[", b"{")
_NOVAS_ANNOUNCING: Final = "messageStart"
# Where each maker's pieces have what they say; some end with all of it once more, beside `response`.
_TEXTS: Final = ("delta", "text", "completion", "outputText", "generation", "outputs")


class InvokeReply(msgspec.Struct):
    """What the gateway reads of a reply; all of it may be missing or of another type."""

    id: Any = None
    model: Any = None
    usage: Any = None
    stop_reason: Any = None
    stopReason: Any = None  # noqa: N815 - Nova's name
    finish_reason: Any = None
    completionReason: Any = None  # noqa: N815 - Titan's name
    choices: Any = None
    results: Any = None
    outputs: Any = None
    generations: Any = None
    completions: Any = None
    # What is no text; left undecoded, as it may be megabytes.
    embedding: msgspec.Raw = _NOTHING
    embeddings: msgspec.Raw = _NOTHING
    embeddingsByType: msgspec.Raw = _NOTHING  # noqa: N815 - Titan's name
    images: msgspec.Raw = _NOTHING
    artifacts: msgspec.Raw = _NOTHING

    @property
    def is_text(self) -> bool:
        """It is neither vectors nor pictures, none of which is counted in tokens of an answer."""
        told = (self.embedding, self.embeddings, self.embeddingsByType, self.images, self.artifacts)
        return all(bytes(memoryview(one)[:1]) not in _MANY for one in told)


class _Piece(msgspec.Struct):
    """A message of a stream."""

    bytes: str = ""


_replies: Final = msgspec.json.Decoder(InvokeReply)
_pieces: Final = msgspec.json.Decoder(_Piece)


def read_invoke(body: bytes, *, asked_bytes: int) -> ReplyFacts:
    """Read the body of a successful whole reply.

    Args:
        body: The whole body.
        asked_bytes: Size of the call, for the estimate when nothing is counted.

    Raises:
        UpstreamBadReply: It is no JSON object.
    """
    try:
        reply = _replies.decode(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    members = msgspec.structs.asdict(reply)
    said_bytes = len(body) if reply.is_text else 0
    reason = _reason(members)
    return ReplyFacts(
        response_id=text_of(reply.id),
        response_model=text_of(reply.model),
        finish_reasons=(reason,) if reason else (),
        usage=_usage_in_body(reply.usage) or estimate_usage(asked_bytes, said_bytes),
    )


def with_header_counts(facts: ReplyFacts | ObjectFacts, headers: HeaderPairs) -> ReplyFacts | ObjectFacts:
    """*facts* with what Bedrock counted itself, where the body did not say it."""
    if facts.usage is not None and facts.usage.source == "provider":
        return facts
    counts = {
        _HEADERS[name]: int(value)
        for name, value in headers
        if name in _HEADERS and value.isdigit() and len(value) <= _MAX_DIGITS
    }
    usage = read_converse_usage(counts)
    return facts if usage is None else msgspec.structs.replace(facts, usage=usage)


class InvokeFacts:
    """What the messages of one stream say of it.

    Attributes:
        has_content: More than an announcement has come.
        is_done: The last piece was seen: it has Bedrock's counts.
        failure: Body of an error that came inside the stream, b"" while there is none.
        pieces: So far, of a token at least.
    """

    def __init__(self, asked_bytes: int) -> None:
        self._asked_bytes = asked_bytes
        self._id = ""
        self._model = ""
        self._reason = ""
        self._claudes: dict[str, Any] = {}
        self._counts: dict[str, Any] = {}
        self.has_content = False
        self.is_done = False
        self.failure = b""
        self.pieces = 0
        self._said_bytes = 0

    def learn(self, message: EventMessage) -> None:
        """Take one message."""
        if message.is_failure:
            self.failure = failure_in(message)
            return
        piece = piece_of(message)
        if piece is None:
            return
        self.pieces += 1
        self._said_bytes += _said_bytes(piece)
        kind = text_of(piece.get("type"))
        if kind not in _ANNOUNCING and _NOVAS_ANNOUNCING not in piece:
            self.has_content = True
        for told in _told(piece):
            self._id = self._id or text_of(told.get("id"))
            self._model = self._model or text_of(told.get("model"))
            self._reason = _reason(told) or self._reason
            usage = told.get("usage")
            # Claude's comes in two parts, of which the first has the input.
            if isinstance(usage, dict) and (self._claudes or "input_tokens" in usage):
                self._claudes = add_up_usage(self._claudes, usage)
        metrics = piece.get(_METRICS)
        if isinstance(metrics, dict):
            self._counts = {
                "inputTokens": metrics.get("inputTokenCount"),
                "outputTokens": metrics.get("outputTokenCount"),
                "cacheReadInputTokens": metrics.get("cacheReadInputTokenCount"),
                "cacheWriteInputTokens": metrics.get("cacheWriteInputTokenCount"),
            }
            self.has_content = self.is_done = True

    def facts(self) -> ReplyFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        said = max(self.pieces, self._said_bytes // BYTES_PER_TOKEN)
        usage = (
            read_message_usage(self._claudes)
            or read_converse_usage(self._counts)
            or estimate_usage(self._asked_bytes, said * BYTES_PER_TOKEN)
        )
        if not self.is_done or self.failure:
            # What was begun says a token or so of output; what came tells more.
            said = max(usage.output_tokens or 0, said)
            usage = msgspec.structs.replace(usage, output_tokens=said, source="partial")
        return ReplyFacts(
            response_id=self._id,
            response_model=self._model,
            finish_reasons=(self._reason,) if self._reason else (),
            usage=usage,
        )


def piece_of(message: EventMessage) -> dict[str, Any] | None:
    """What the model says in a message of a stream, None where that is no JSON object."""
    try:
        held = base64.b64decode(_pieces.decode(message.payload).bytes, validate=True)
    except (*UNREADABLE, binascii.Error):
        return None
    return find_object(held)


def _said_bytes(piece: dict[str, Any]) -> int:
    """How much text a piece adds to the answer."""
    if "choices" in piece:
        return said_in_choices(piece["choices"])
    novas = piece.get("contentBlockDelta")
    if isinstance(novas, dict):
        return said_bytes(novas.get("delta"))
    return said_bytes([piece.get(name) for name in _TEXTS])


def _told(piece: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Where a piece may say what it is of: itself, and what it wraps."""
    yield piece
    for name in ("message", "delta", "messageStop"):
        inner = piece.get(name)
        if isinstance(inner, dict):
            yield inner


def _reason(members: dict[str, Any]) -> str:
    for name in _REASONS:
        if reason := text_of(members.get(name)):
            return reason
    for name in _LISTS:
        answers = members.get(name)
        first = answers[0] if isinstance(answers, list) and answers else None
        if isinstance(first, dict) and (reason := _reason(first)):
            return reason
    return ""


def _usage_in_body(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    if count_of(usage.get("input_tokens")) is not None:
        return read_message_usage(usage)
    return None
