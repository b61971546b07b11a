"""Spans as bytes are what protobuf's own classes read as what was put in."""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.delivery.batch import Batcher, BatchLimits
from gateway.delivery.otlp_json import to_json
from gateway.wire.frames import CallSpans, Frame, SpanSegments, decode_spans, encode_payload
from gateway.wire.otlp import (
    AttributeKey,
    SpanKind,
    StatusCode,
    resource_attributes,
    span_event,
    span_head,
    span_name,
    span_status,
)
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target
from tests.rig.otlp_sink import request_from_json
from tests.unit.makers import value_of

_TIMES: Final = (1, 1, 1, 1, 2, 70, 3000)
"""How often a text is repeated: the length of a length changes at 128 bytes and at 16,384."""


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    yield _check


def _check(data: bytes) -> None:
    draw = Draw(data)
    attributes = {_clean(draw.text(40)): _value(draw) for _ in range(draw.number(8))}
    _check_repeats(draw)
    name, state, message = draw.text(), _clean(draw.text()), draw.text()
    trace_id, span_id, parent = draw.take(16).rjust(16, b"t"), draw.take(8).rjust(8, b"s"), draw.take(8)
    parent = parent if len(parent) == 8 else b""
    start, end, flags = (abs(draw.int64()) for _ in range(3))
    kind, code = draw.choice(tuple(SpanKind)), draw.choice(tuple(StatusCode))
    encoded = span_head(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        trace_state=state,
        flags=flags % 1024,
        named=span_name(name, kind),
        start_ns=start,
        end_ns=end,
    )
    encoded += b"".join([AttributeKey(key).any(value) for key, value in attributes.items()])
    encoded += span_event("exception", start, attributes) + span_status(code, message)
    span = Span.FromString(encoded)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (trace_id, span_id, parent)
    assert (span.name, int(span.kind), span.trace_state) == (_carried(name), int(kind), state)
    assert (span.start_time_unix_nano, span.end_time_unix_nano, span.flags) == (start, end, flags % 1024)
    assert int(span.status.code) == int(code)
    assert span.status.message == ("" if code is StatusCode.UNSET else _carried(message))
    assert (span.events[0].name, span.events[0].time_unix_nano) == ("exception", start)
    resource = Resource.FromString(resource_attributes(attributes))
    for found in (span.attributes, span.events[0].attributes, resource.attributes):
        assert len(found) == len(attributes)
        _check_same({item.key: value_of(item.value) for item in found}, attributes)
    _check_batches(draw, encoded, span, attributes)


def _check_repeats(draw: Draw) -> None:
    """One key writes value after value, and remembers what stood before them."""
    key = AttributeKey("k")
    values = [_value(draw) for _ in range(draw.number(6))]
    span = Span.FromString(b"".join([key.any(value) for value in values]))
    assert [item.key for item in span.attributes] == ["k"] * len(values)
    for item, value in zip(span.attributes, values, strict=True):
        _check_same({"k": value_of(item.value)}, {"k": value})


def _check_batches(draw: Draw, encoded: bytes, span: Span, attributes: dict[str, Any]) -> None:
    """Spans of some workers go to a collector: each once, in order, in bounded requests, as JSON too."""
    additional = {_clean(draw.text(8)): _clean(draw.text()) for _ in range(draw.number(3))}
    limits = BatchLimits(max_spans=1 + draw.number(4), max_bytes=1 + draw.number(65_536))
    batcher = Batcher("1", limits, additional, position=0)
    cut = draw.number(256) % (len(encoded) + 1)
    # Between two fields, as the encoder cuts: content comes last.
    pair = SpanSegments(encoded, b"") if cut % 2 else SpanSegments(b"", encoded)
    sent = 0
    for number in range(1, 2 + draw.number(4)):
        resource = resource_attributes(attributes if draw.number(2) else {"service.name": f"s{number}"})
        calls = [CallSpans(1, None, [pair] * _few(draw)) for _ in range(_few(draw))]
        frame = decode_spans(encode_payload(Frame("w", 1, number, "v", resource, calls)))
        sent += sum(len(call.spans) for call in calls)
        batcher.add(number, frame)
    taken = 0
    while len(batcher):
        batch = batcher.take()
        request = ExportTraceServiceRequest.FromString(batch.body)
        found = [each for group in request.resource_spans for each in group.scope_spans[0].spans]
        assert len(found) == batch.spans
        assert len(found) <= limits.max_spans
        assert len(found) == 1 or len(batch.body) <= limits.max_bytes
        # Of bytes, since a number that is none is never the same as itself.
        expected = span.SerializeToString(deterministic=True)
        assert all(each.SerializeToString(deterministic=True) == expected for each in found)
        for group in request.resource_spans:
            known = {item.key: value_of(item.value) for item in group.resource.attributes}
            assert len(known) == len(group.resource.attributes)
            assert known.items() >= additional.items()
        again = request_from_json(to_json(batch.body))
        assert again.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)
        taken += batch.spans
    assert taken == sent


def _value(draw: Draw) -> Any:
    match draw.number(5):
        case 0:
            return draw.text() * draw.choice(_TIMES)
        case 1:
            return draw.int64()
        case 2:
            number = struct.unpack("<d", draw.take(8).ljust(8, b"\x00"))[0]
            # JSON carries no more of it than that it is no number.
            return math.nan if math.isnan(number) else number
        case 3:
            return bool(draw.number(2))
        case _:
            return tuple(draw.text(20) * draw.choice(_TIMES) for _ in range(draw.number(4)))


def _few(draw: Draw) -> int:
    """One where nothing is left to read, seldom none."""
    return (1 + draw.number(4)) % 4


def _clean(text: str) -> str:
    """Names and states come from HTTP or from us: they have no lone surrogates."""
    return text.encode(errors="replace").decode()


def _carried(text: str) -> str:
    return text.encode(errors="replace").decode()


def _check_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        match value:
            case float() if math.isnan(value):
                assert math.isnan(found[key])
            case str():
                assert found[key] == _carried(value)
            case tuple():
                assert found[key] == [_carried(item) for item in value]
            case _:
                assert found[key] == value
                assert type(found[key]) is type(value)


def _seeds() -> Iterable[bytes]:
    yield (
        bytes((5, 1, 97, 0, 3))
        + b"abc"
        + bytes((1, 98, 1, 1, 7, 1, 99, 2))
        + struct.pack("<d", 1.5)
        + bytes((1, 100, 3, 1))
    )
    yield b"\x07" + bytes(range(256))
    yield bytes((1, 1, 97, 0, 200)) + b"x" * 200 + b"\x80" * 40
    yield bytes((1, 1, 97, 0, 9)) + b"x" * 9 + bytes((6, 3, 0, 4)) + b"abcd" + bytes((5, 0, 4)) + b"efgh"
    batches = bytes((1, 1, 98, 2, 10, 11, 3, 200, 0, 7, 3, 0, 2, 2, 1, 1, 2, 2, 1, 0, 1, 2, 0, 1, 2))
    for size in (20, 60, 100):
        yield b"\x00" * size + batches
    yield bytes((1, 1, 97, 4, 3, 2)) + b"\xff\xfe" + b"\x01a\x00" + b"t" * 64


SPANS: Final = Target("spans", _checking, _seeds)
