"""Spans as the store keeps them: a `ScopeSpans` message for each call, those of many calls in one blob.

Whole OTLP messages, so that the reference protobuf classes read them back and nobody has to know a format of
ours. Compressed together, because calls resemble each other far more than one resembles itself: measured on
calls with two spans, a tenth of the bytes at 100 a blob, and far less time.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from gateway.process import give_way
from gateway.wire.deflate import PIECE_BYTES, zlib_packer
from gateway.wire.otlp import varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.wire.frames import SpanSegments

_SCOPE_SPANS_SPANS: Final = b"\x12"
# What a list shows of an error; the whole text stays on the span.
_MAX_ERROR_TEXT: Final = 300


class UnreadableSpansError(ValueError):
    """Stored or received bytes are not OTLP."""


def join(spans: Iterable[SpanSegments]) -> bytes:
    """The spans of one call as a `ScopeSpans` message."""
    parts: list[bytes] = []
    for span in spans:
        plain, content = span.plain, span.content
        parts += (_SCOPE_SPANS_SPANS, varint(len(plain) + len(content)), plain, content)
    return b"".join(parts)


def pack(messages: Iterable[bytes], pause: Callable[[], None] = give_way) -> bytes:
    """Compress messages of `join`; each stays a part of what `unpack` gives.

    Args:
        messages: In their order.
        pause: Called after every bit of work.
    """
    packer = zlib_packer()
    parts = []
    since_pause = 0
    for message in messages:
        parts.append(packer.compress(message))
        since_pause += len(message)
        if since_pause >= PIECE_BYTES:
            pause()
            since_pause = 0
    parts.append(packer.flush())
    pause()
    return b"".join(parts)


def unpack(blob: bytes) -> bytes:
    """The messages that `pack` was given, one after another.

    Raises:
        UnreadableSpansError: It is not a blob of `pack`.
    """
    try:
        return zlib.decompress(blob)
    except zlib.error as error:
        raise UnreadableSpansError(str(error)) from error


def read_spans(message: bytes) -> list[Span]:
    """What `join` was given, as protobuf objects.

    Raises:
        UnreadableSpansError: A span in it is not OTLP.
    """
    scope_spans = ScopeSpans()
    try:
        scope_spans.ParseFromString(message)
    except DecodeError as error:
        raise UnreadableSpansError(str(error)) from error
    return list(scope_spans.spans)


def read_span(segments: SpanSegments) -> Span:
    """One span without its content.

    Raises:
        UnreadableSpansError: It is not OTLP.
    """
    span = Span()
    try:
        span.ParseFromString(segments.plain)
    except DecodeError as error:
        raise UnreadableSpansError(str(error)) from error
    return span


def read_resource(body: bytes) -> Resource:
    """The resource of a frame.

    Raises:
        UnreadableSpansError: It is not OTLP.
    """
    resource = Resource()
    try:
        resource.ParseFromString(body)
    except DecodeError as error:
        raise UnreadableSpansError(str(error)) from error
    return resource


def error_text(spans: Sequence[SpanSegments]) -> str:
    """What went wrong in words: the first status message of a call's spans, "" when there is none.

    Raises:
        UnreadableSpansError: A span is not OTLP.
    """
    for segments in spans:
        message = read_span(segments).status.message
        if message:
            return message[:_MAX_ERROR_TEXT]
    return ""
