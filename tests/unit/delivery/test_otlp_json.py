"""JSON and protobuf of the same spans mean the same, whatever the spans hold."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from gateway.delivery.otlp_json import to_json
from gateway.wire.frames import FrameError
from tests.rig.examples import examples
from tests.rig.otlp_sink import request_from_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
UINT32 = st.integers(0, (1 << 32) - 1)
UINT64 = st.integers(0, (1 << 64) - 1)
TRACE_IDS = st.binary(min_size=16, max_size=16)
SPAN_IDS = st.binary(min_size=8, max_size=8)


def key_values(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[list[KeyValue]]:
    return st.lists(st.builds(KeyValue, key=TEXT, value=values), max_size=4)


VALUES = st.recursive(
    st.one_of(
        st.builds(AnyValue, string_value=TEXT),
        st.builds(AnyValue, bool_value=st.booleans()),
        st.builds(AnyValue, int_value=st.integers(-(1 << 63), (1 << 63) - 1)),
        st.builds(AnyValue, double_value=st.floats(allow_nan=False)),
        st.builds(AnyValue, bytes_value=st.binary(max_size=20)),
        st.just(AnyValue()),
    ),
    lambda inner: st.one_of(
        st.builds(AnyValue, array_value=st.builds(ArrayValue, values=st.lists(inner, max_size=3))),
        st.builds(AnyValue, kvlist_value=st.builds(KeyValueList, values=key_values(inner))),
    ),
    max_leaves=6,
)
ATTRIBUTES = key_values(VALUES)
SPANS = st.builds(
    Span,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent_span_id=SPAN_IDS | st.just(b""),
    trace_state=TEXT,
    name=TEXT,
    kind=st.integers(0, 5),
    start_time_unix_nano=UINT64,
    end_time_unix_nano=UINT64,
    attributes=ATTRIBUTES,
    dropped_attributes_count=UINT32,
    flags=UINT32,
    events=st.lists(
        st.builds(
            Span.Event,
            time_unix_nano=UINT64,
            name=TEXT,
            attributes=ATTRIBUTES,
            dropped_attributes_count=UINT32,
        ),
        max_size=2,
    ),
    links=st.lists(
        st.builds(
            Span.Link,
            trace_id=TRACE_IDS,
            span_id=SPAN_IDS,
            trace_state=TEXT,
            attributes=ATTRIBUTES,
            flags=UINT32,
        ),
        max_size=2,
    ),
    status=st.none() | st.builds(Status, message=TEXT, code=st.integers(0, 2)),
)


def request(*spans: Span, resource: Resource | None = None) -> ExportTraceServiceRequest:
    scope = ScopeSpans(scope=InstrumentationScope(name="s", version="1"), spans=spans)
    group = ResourceSpans(resource=resource or Resource(), scope_spans=[scope])
    return ExportTraceServiceRequest(resource_spans=[group])


# Protobuf's reader of JSON reads both alphabets of base64 as one, which Python 3.15 warns of.
@pytest.mark.filterwarnings("ignore:invalid character:FutureWarning")
@settings(max_examples=examples(150), deadline=None)
@given(spans=st.lists(SPANS, max_size=3), attributes=ATTRIBUTES)
def test_both_forms_mean_the_same(spans: list[Span], attributes: list[KeyValue]) -> None:
    """Read back by protobuf's own reader of JSON, after its ids became base64."""
    meant = request(*spans, resource=Resource(attributes=attributes))
    assert request_from_json(to_json(meant.SerializeToString())) == meant


def one_span(**fields: Any) -> dict[str, Any]:
    document = json.loads(to_json(request(Span(**fields)).SerializeToString()))
    return dict(document["resourceSpans"][0]["scopeSpans"][0]["spans"][0])


def test_the_form_is_otlps() -> None:
    """Hexadecimal ids, integer enums, 64-bit numbers as text, plain flags, names as in the .proto files."""
    found = one_span(
        trace_id=bytes(range(16)),
        span_id=b"\xff" * 8,
        name="é",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=(1 << 64) - 1,
        end_time_unix_nano=1,
        flags=0x301,
        status=Status(code=Status.STATUS_CODE_ERROR, message="bad"),
        attributes=[
            KeyValue(key="n", value=AnyValue(int_value=-(1 << 63))),
            KeyValue(key="b", value=AnyValue(bytes_value=b"\x00\xff")),
            KeyValue(key="none", value=AnyValue()),
        ],
    )
    assert found == {
        "traceId": "000102030405060708090a0b0c0d0e0f",
        "spanId": "ffffffffffffffff",
        "flags": 769,
        "name": "é",
        "kind": 2,
        "startTimeUnixNano": "18446744073709551615",
        "endTimeUnixNano": "1",
        "attributes": [
            {"key": "n", "value": {"intValue": "-9223372036854775808"}},
            {"key": "b", "value": {"bytesValue": "AP8="}},
            {"key": "none", "value": {}},
        ],
        "status": {"message": "bad", "code": 2},
    }


@pytest.mark.parametrize(
    ("value", "expected"), [(math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN"), (1.5, 1.5)]
)
def test_numbers_that_json_lacks(value: float, expected: float | str) -> None:
    """As protobuf's JSON writes them."""
    found = one_span(attributes=[KeyValue(key="d", value=AnyValue(double_value=value))])
    assert found["attributes"][0]["value"] == {"doubleValue": expected}


@pytest.mark.parametrize("text", ["é", "é" * 1000], ids=["short", "long"])
def test_an_attribute_that_comes_again_is_the_same(text: str) -> None:
    """Whether it was kept or not, and whatever came with the same name between."""
    for value in (text, "another", text):
        attributes = [KeyValue(key="said", value=AnyValue(string_value=value))] * 2
        expected = {"key": "said", "value": {"stringValue": value}}
        assert one_span(attributes=attributes)["attributes"] == [expected, expected]


@pytest.mark.parametrize("body", [b"\x0a", b"\x0a\x04\x12\x02\xff\xff"])
def test_what_is_no_request(body: bytes) -> None:
    """It is told apart."""
    with pytest.raises(FrameError):
        to_json(body)
