"""Spans as bytes are what protobuf's own classes read as what was put in."""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

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
from tests.unit.makers import value_of

_MAX_TIME_NS: Final = 2**64 - 1


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    yield _check


def _check(data: bytes) -> None:
    draw = Draw(data)
    attributes = {_clean(draw.text(40)): _value(draw) for _ in range(draw.number(8))}
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
        _check_same({item.key: value_of(item.value) for item in found}, attributes)


def _value(draw: Draw) -> Any:
    match draw.number(5):
        case 0:
            return draw.text()
        case 1:
            return draw.int64()
        case 2:
            return struct.unpack("<d", draw.take(8).ljust(8, b"\x00"))[0]
        case 3:
            return bool(draw.number(2))
        case _:
            return tuple(draw.text(20) for _ in range(draw.number(4)))


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
    yield bytes((1, 1, 97, 4, 3, 2)) + b"\xff\xfe" + b"\x01a\x00" + b"t" * 64


SPANS: Final = Target("spans", _checking, _seeds)
