"""OTLP as JSON for people."""

from __future__ import annotations

import base64
import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.tracestore.decode import attributes_json, span_json, trace_json, value_json
from gateway.tracestore.span_blob import join
from tests.rig.examples import examples
from tests.unit.tracestore.call_maker import RESOURCE, make_span


def any_value(value: object) -> AnyValue:  # noqa: PLR0911 - one type a line
    """The reference encoding of a plain value."""
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case dict():
            pairs = [KeyValue(key=key, value=any_value(item)) for key, item in value.items()]
            return AnyValue(kvlist_value=KeyValueList(values=pairs))
        case _:
            return AnyValue()


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@settings(max_examples=examples(40), deadline=None)
@given(st.dictionaries(st.text(), VALUES))
def test_any_attributes_are_themselves_in_json(values: dict[str, object]) -> None:
    """Every type of OTLP, nested, through real bytes and real JSON."""
    span = Span(attributes=[KeyValue(key=key, value=any_value(value)) for key, value in values.items()])
    found = attributes_json(Span.FromString(span.SerializeToString()).attributes)
    assert json.loads(json.dumps(found)) == values


def test_values_that_json_lacks() -> None:
    """Bytes as base64, and the three doubles by name."""
    assert value_json(any_value(b"\x00\xff")) == base64.b64encode(b"\x00\xff").decode()
    found = [value_json(any_value(value)) for value in (math.nan, math.inf, -math.inf)]
    assert found == ["NaN", "Infinity", "-Infinity"]


def test_span_in_full() -> None:
    """Exactly the fields that INTERFACES lists, in its words."""
    span = Span(
        trace_id=b"t" * 16,
        span_id=bytes(range(8)),
        parent_span_id=b"\xff" * 8,
        name="chat gpt-4o",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=2**63,
        end_time_unix_nano=2**63 + 1,
        trace_state="ot=th:8",
        flags=0x301,
        status=Status(code=Status.STATUS_CODE_ERROR, message="boom"),
        attributes=[KeyValue(key="gen_ai.usage.input_tokens", value=any_value(7))],
        events=[Span.Event(name="exception", time_unix_nano=5, attributes=[])],
    )
    assert span_json(span) == {
        "span_id": "0001020304050607",
        "parent_span_id": "ffffffffffffffff",
        "name": "chat gpt-4o",
        "kind": "CLIENT",
        "start_time_unix_nano": str(2**63),
        "end_time_unix_nano": str(2**63 + 1),
        "trace_state": "ot=th:8",
        "flags": 0x301,
        "status": {"code": "ERROR", "message": "boom"},
        "attributes": {"gen_ai.usage.input_tokens": 7},
        "events": [{"name": "exception", "time_unix_nano": "5", "attributes": {}}],
    }


def test_defaults_and_unknown_enums() -> None:
    """A root span that is well, and a kind from a later OTLP."""
    found = span_json(Span(kind=Span.SPAN_KIND_SERVER))
    assert (found["parent_span_id"], found["kind"], found["status"]) == (
        "",
        "SERVER",
        {"code": "UNSET", "message": ""},
    )
    assert span_json(Span.FromString(b"\x30\x63"))["kind"] == "99"


def test_spans_of_all_calls_come_in_start_order() -> None:
    """Two calls of one trace overlap; the resource is the first one's."""
    first = join([make_span(b"t" * 16, b"a" * 8, start_ns=10), make_span(b"t" * 16, b"c" * 8, start_ns=30)])
    second = join([make_span(b"t" * 16, b"b" * 8, start_ns=20), make_span(b"t" * 16, b"d" * 8, start_ns=20)])
    found = trace_json(b"t" * 16, [(first, RESOURCE), (second, b"")])
    assert found["trace_id"] == (b"t" * 16).hex()
    assert found["resource"] == {"service.name": "tfy-llm-gateway"}
    spans = found["spans"]
    assert isinstance(spans, list)
    assert [bytes.fromhex(span["span_id"])[:1] for span in spans] == [b"a", b"b", b"d", b"c"]
