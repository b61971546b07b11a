"""OTLP by hand: every byte read back by protobuf's own classes."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.wire.otlp import (
    HAS_IS_REMOTE,
    IS_REMOTE,
    AttributeKey,
    AttributeValue,
    SpanKind,
    StatusCode,
    field,
    resource_attributes,
    span_event,
    span_head,
    span_name,
    span_status,
    varint,
)
from tests.unit.makers import value_of

INT64 = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)
ANY_TEXT = st.text(st.characters())
"""Every character, lone surrogates too."""
KEYS = st.text(min_size=1)
VALUES: st.SearchStrategy[AttributeValue] = st.one_of(
    st.booleans(), INT64, st.floats(), ANY_TEXT, st.lists(ANY_TEXT)
)


def utf8(text: str) -> str:
    """What is left of *text* after UTF-8."""
    return text.encode(errors="replace").decode()


def expected(value: AttributeValue) -> Any:
    if isinstance(value, str):
        return utf8(value)
    return value if isinstance(value, bool | int | float) else [utf8(item) for item in value]


def is_same(found: object, wanted: object) -> bool:
    """Equal in value and type; one NaN is as another."""
    if isinstance(found, float) and isinstance(wanted, float) and math.isnan(wanted):
        return math.isnan(found)
    return type(found) is type(wanted) and found == wanted


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        pytest.param(0, b"\x00", id="zero"),
        pytest.param(127, b"\x7f", id="one byte, highest"),
        pytest.param(128, b"\x80\x01", id="two bytes, lowest"),
        pytest.param(16_384, b"\x80\x80\x01", id="three bytes, lowest"),
        pytest.param((1 << 63) - 1, b"\xff" * 8 + b"\x7f", id="int64 highest"),
        pytest.param((1 << 64) - 1, b"\xff" * 9 + b"\x01", id="uint64 highest"),
        pytest.param(-1, b"\xff" * 9 + b"\x01", id="minus one is ten bytes"),
        pytest.param(-(1 << 63), b"\x80" * 9 + b"\x01", id="int64 lowest"),
    ],
)
def test_varint(value: int, encoded: bytes) -> None:
    """Numbers are LEB128, negative ones as two's complement of 64 bits."""
    assert varint(value) == encoded


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384])
def test_field_has_its_length(size: int) -> None:
    """A field is tag, length and payload, also where the length needs another byte."""
    assert field(0x0A, b"x" * size) == b"\x0a" + varint(size) + b"x" * size


@given(KEYS, VALUES)
def test_attribute_of_any_value(key: str, value: AttributeValue) -> None:
    """An attribute is read back under its name, with its type and value."""
    span = Span.FromString(AttributeKey(key).any(value))
    assert [item.key for item in span.attributes] == [utf8(key)]
    assert is_same(value_of(span.attributes[0].value), expected(value))


@given(st.dictionaries(KEYS, VALUES))
def test_resource_of_any_attributes(attributes: dict[str, AttributeValue]) -> None:
    """A resource keeps every attribute, in order."""
    resource = Resource.FromString(resource_attributes(attributes))
    assert [item.key for item in resource.attributes] == list(attributes)
    found = [value_of(item.value) for item in resource.attributes]
    assert all(map(is_same, found, map(expected, attributes.values())))


@pytest.mark.parametrize(
    ("encoded", "kind", "value"),
    [
        pytest.param(AttributeKey("k").text(""), "string_value", "", id="empty text"),
        pytest.param(AttributeKey("k").text("a\ud800b"), "string_value", "a?b", id="lone surrogate"),
        pytest.param(AttributeKey("k").boolean(False), "bool_value", False, id="false is written"),
        pytest.param(AttributeKey("k").integer(0), "int_value", 0, id="zero is written"),
        pytest.param(AttributeKey("k").integer(-(1 << 63)), "int_value", -(1 << 63), id="int64 lowest"),
        pytest.param(AttributeKey("k").double(0.0), "double_value", 0.0, id="0.0 is written"),
        pytest.param(AttributeKey("k").double(1), "double_value", 1.0, id="a double stays one"),
        pytest.param(AttributeKey("k").any(True), "bool_value", True, id="true is no number"),
    ],
)
def test_attribute_of_a_default_value(encoded: bytes, kind: str, value: object) -> None:
    """The zero of a type is written out, so that it has a type at all."""
    attribute = Span.FromString(encoded).attributes[0]
    assert attribute.value.WhichOneof("value") == kind
    assert value_of(attribute.value) == value


def test_attribute_of_no_texts() -> None:
    """An empty list is an array, not an absent value."""
    attribute = Span.FromString(AttributeKey("k").texts([])).attributes[0]
    assert attribute.value.WhichOneof("value") == "array_value"
    assert value_of(attribute.value) == []


@given(
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent=st.binary(min_size=8, max_size=8) | st.just(b""),
    state=st.text(st.characters(codec="ascii"), max_size=300),
    flags=st.integers(0, 0x3FF),
    name=st.text(max_size=300),
    kind=st.sampled_from(SpanKind),
    times=st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1)),
)
def test_head_of_any_span(
    trace_id: bytes,
    span_id: bytes,
    parent: bytes,
    state: str,
    flags: int,
    name: str,
    kind: SpanKind,
    times: tuple[int, int],
) -> None:
    """A span's head is, byte for byte, what protobuf's encoder makes of the same fields."""
    start_ns, end_ns = times
    head = span_head(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        trace_state=state,
        flags=flags,
        named=span_name(name, kind),
        start_ns=start_ns,
        end_ns=end_ns,
    )
    assert Span.FromString(head) == Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        trace_state=state,
        flags=flags,
        name=name,
        kind=Span.SpanKind.ValueType(kind),
        start_time_unix_nano=start_ns,
        end_time_unix_nano=end_ns,
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (SpanKind.INTERNAL, "SPAN_KIND_INTERNAL"),
        (SpanKind.SERVER, "SPAN_KIND_SERVER"),
        (SpanKind.CLIENT, "SPAN_KIND_CLIENT"),
    ],
)
def test_span_kinds_are_the_specifications(kind: SpanKind, name: str) -> None:
    """Our numbers of span kinds are OTLP's."""
    assert Span.SpanKind.Name(Span.SpanKind.ValueType(kind)) == name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (StatusCode.UNSET, "STATUS_CODE_UNSET"),
        (StatusCode.OK, "STATUS_CODE_OK"),
        (StatusCode.ERROR, "STATUS_CODE_ERROR"),
    ],
)
def test_status_codes_are_the_specifications(code: StatusCode, name: str) -> None:
    """Our numbers of status codes are OTLP's."""
    assert Status.StatusCode.Name(Status.StatusCode.ValueType(code)) == name


@given(ANY_TEXT)
def test_status_with_any_message(message: str) -> None:
    """An error status carries its message."""
    status = Span.FromString(span_status(StatusCode.ERROR, message)).status
    assert (status.code, status.message) == (Status.STATUS_CODE_ERROR, utf8(message))


def test_unset_status_is_not_written() -> None:
    """A span without a status has none, rather than an empty one."""
    assert span_status(StatusCode.UNSET, "ignored") == b""


@given(st.integers(0, (1 << 64) - 1), st.dictionaries(KEYS, VALUES))
def test_event_of_any_attributes(time_ns: int, attributes: dict[str, AttributeValue]) -> None:
    """An event keeps its name, time and attributes."""
    (event,) = Span.FromString(span_event("exception", time_ns, attributes)).events
    assert (event.name, event.time_unix_nano) == ("exception", time_ns)
    assert [item.key for item in event.attributes] == list(attributes)
    found = [value_of(item.value) for item in event.attributes]
    assert all(map(is_same, found, map(expected, attributes.values())))


def test_flags_of_the_specification() -> None:
    """The bits about a remote parent are where OTLP has them."""
    assert (HAS_IS_REMOTE, IS_REMOTE) == (0x100, 0x200)


def test_double_is_little_endian_ieee() -> None:
    """A double has the bytes that protobuf wants, not the machine's."""
    assert AttributeKey("k").double(1.5).endswith(b"\x21" + struct.pack("<d", 1.5))
