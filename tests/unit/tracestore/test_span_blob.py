"""Spans in and out of their stored form."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.tracestore import span_blob
from gateway.wire.frames import SpanSegments
from tests.unit.tracestore.call_maker import make_call, make_row, make_span


def test_joined_spans_are_the_same_spans() -> None:
    """Both segments of each, in order, read by the reference classes."""
    spans = [make_span(b"t" * 16, size_bytes=50), make_span(b"t" * 16, b"2" * 8)]
    found = span_blob.read_spans(span_blob.join(spans))
    assert [span.SerializeToString() for span in found] == [
        Span.FromString(each.plain + each.content).SerializeToString() for each in spans
    ]


def test_packed_messages_keep_their_places() -> None:
    """Each is cut out of the blob by offset and length, and all of it is one message too."""
    messages = [span_blob.join([make_span(b"t" * 16)]), span_blob.join([make_span(b"u" * 16, size_bytes=50)])]
    found = span_blob.unpack(span_blob.pack(messages))
    assert found == b"".join(messages)
    assert [span.trace_id for span in span_blob.read_spans(found)] == [b"t" * 16, b"u" * 16]


@pytest.mark.parametrize("blob", [b"", b"junk"])
def test_damaged_blob_is_named_so(blob: bytes) -> None:
    """No foreign exception leaves."""
    with pytest.raises(span_blob.UnreadableSpansError):
        span_blob.unpack(blob)


def test_error_text_is_the_first_status_message_cut() -> None:
    """What the list can be searched for."""
    call = make_call(make_row(), error="e" * 1000)
    assert span_blob.error_text(call.spans) == "e" * 300
    assert span_blob.error_text(make_call(make_row()).spans) == ""


def test_foreign_bytes_are_named_so() -> None:
    """A frame may be damaged before it comes here."""
    with pytest.raises(span_blob.UnreadableSpansError):
        span_blob.read_spans(b"\x12\x05junk")
    with pytest.raises(span_blob.UnreadableSpansError):
        span_blob.read_span(SpanSegments(b"\xff\xff", b""))
    with pytest.raises(span_blob.UnreadableSpansError):
        span_blob.read_resource(b"\xff\xff")
