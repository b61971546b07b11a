"""The spans of one call as the store keeps them: an OTLP `ScopeSpans` message, compressed.

A whole OTLP message, so that the reference protobuf classes read it back and nobody has to know a format of
ours.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from gateway.wire.otlp import field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.wire.frames import SpanSegments

# Level 1: a call's attributes are repetitive text, on which higher levels save a few per cent for twice the
# time.
_LEVEL: Final = 1
_SCOPE_SPANS_SPANS: Final = 0x12
# What a list shows of an error; the whole text stays on the span.
_MAX_ERROR_TEXT: Final = 300


class UnreadableSpansError(ValueError):
    """Stored or received bytes are not OTLP."""


def pack(spans: Iterable[SpanSegments]) -> bytes:
    """Join and compress the spans of one call."""
    return zlib.compress(
        b"".join([field(_SCOPE_SPANS_SPANS, span.plain + span.content) for span in spans]), _LEVEL
    )


def unpack(blob: bytes) -> list[Span]:
    """What `pack` was given, as protobuf objects.

    Raises:
        UnreadableSpansError: It is not a blob of `pack`, or a span in it is not OTLP.
    """
    message = ScopeSpans()
    try:
        message.ParseFromString(zlib.decompress(blob))
    except (zlib.error, DecodeError) as error:
        raise UnreadableSpansError(str(error)) from error
    return list(message.spans)


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
