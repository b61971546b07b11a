"""Delivery to a real collector in every form: what comes out of it behind is what the spool held."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.delivery.batch import BatchLimits
from gateway.delivery.destination import Compression, Destination, Protocol
from gateway.delivery.selection import Selection
from gateway.delivery.service import Delivery, DeliverySettings
from gateway.wire.frames import CallSpans, SpanSegments
from gateway.wire.otlp import AttributeKey, StatusCode, span_event, span_status
from tests.rig.frame_maker import EVERYWHERE, make_call, make_payload, make_span, span_id_of
from tests.rig.otlp_sink import OtlpSink
from tests.rig.requires import requires
from tests.rig.rotel_collector import RotelCollector
from tests.rig.until import until


def rich_call(number: int) -> CallSpans:
    """A span with one of every value that a gateway writes, its edges too."""
    attributes = [
        AttributeKey("text").text("é\u0000\U0001f600"),
        AttributeKey("int").integer(-(1 << 63)),
        AttributeKey("double").double(1.5e300),
        AttributeKey("bool").boolean(value=False),
        AttributeKey("texts").texts(["a", ""]),
    ]
    event = span_event("exception", 3, {"exception.message": "x", "exception.escaped": True})
    plain = make_span(f"span-{number}").plain + b"".join(attributes) + event
    content = AttributeKey("gen_ai.input.messages").text("[]")
    return CallSpans(EVERYWHERE, None, [SpanSegments(plain + span_status(StatusCode.ERROR, "bad"), content)])


@requires("rotel", "grpc")
@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
def test_every_form_means_the_same(tmp_path: Path, protocol: Protocol, compression: Compression) -> None:
    """Protobuf, JSON and gRPC, compressed or not: the same spans at the far end."""
    with OtlpSink() as sink, RotelCollector(tmp_path, sink.traces_url) as rotel:
        endpoint = rotel.grpc_url if protocol == "grpc" else rotel.traces_url
        destination = Destination(
            "rotel", endpoint, {}, {"team": "a"}, 0, protocol=protocol, compression=compression
        )
        settings = DeliverySettings(limits=BatchLimits(max_delay_s=0.01))
        delivery = Delivery(tmp_path / "state", on_config=lambda *_: None, settings=settings)
        delivery.configure([destination])
        delivery._spool.reader("rotel")
        for number in range(1, 4):
            delivery._spool.append(make_payload(number, rich_call(number)))
        delivery.start()
        spans = sink.wait_for_spans(3, timeout_s=60.0)
        until(lambda: delivery.telemetry()["destinations"][0]["ledger"]["exported"] == 3, what="the counts")
        delivery.stop(5.0)
    assert {resource["team"] for resource, _ in sink.spans_with_resource()} == {"a"}
    assert sorted(span.name for span in spans) == ["span-1", "span-2", "span-3"]
    for span in spans:
        values = {item.key: item.value for item in span.attributes}
        assert (span.trace_id, span.span_id) == (b"t" * 16, span_id_of(span.name))
        assert (span.kind, span.status.code) == (2, 2)
        assert values["text"].string_value == "é\u0000\U0001f600"
        assert values["int"].int_value == -(1 << 63)
        assert values["double"].double_value == 1.5e300
        assert values["bool"].bool_value is False
        assert [item.string_value for item in values["texts"].array_value.values] == ["a", ""]
        assert values["gen_ai.input.messages"].string_value == "[]"
        assert [item.key for item in span.events[0].attributes] == ["exception.message", "exception.escaped"]


@requires("rotel", "grpc")
def test_a_collector_that_takes_less_over_grpc_gets_parts(tmp_path: Path) -> None:
    """It says of a message that is too large, with the code of what may be tried again."""
    options = ("--otlp-grpc-max-recv-msg-size-mib", "1")
    with OtlpSink() as sink, RotelCollector(tmp_path, sink.traces_url, *options) as rotel:
        destination = Destination("rotel", rotel.grpc_url, {}, {}, 0, protocol="grpc", compression="none")
        settings = DeliverySettings(limits=BatchLimits(max_bytes=4_000_000, max_delay_s=0.01))
        delivery = Delivery(tmp_path / "state", on_config=lambda *_: None, settings=settings)
        delivery.configure([destination])
        delivery._spool.reader("rotel")
        for number in range(30):
            delivery._spool.append(make_payload(number, make_call(f"span-{number}", size_bytes=100_000)))
        delivery.start()
        spans = sink.wait_for_spans(30, timeout_s=60.0)
        until(lambda: delivery.telemetry()["destinations"][0]["ledger"]["exported"] == 30, what="the counts")
        delivery.stop(5.0)
    assert sorted(span.name for span in spans) == sorted(f"span-{number}" for number in range(30))


@requires("rotel")
def test_a_sampling_note_is_read(tmp_path: Path) -> None:
    """A trace state that stands twice in a span is the last one to a decoder that is not protobuf's own."""
    with OtlpSink() as sink, RotelCollector(tmp_path, sink.traces_url) as rotel:
        destination = Destination(
            "rotel", rotel.traces_url, {}, {}, 0, selection=Selection(sampling_ratio=1.0)
        )
        settings = DeliverySettings(limits=BatchLimits(max_delay_s=0.01))
        delivery = Delivery(tmp_path / "state", on_config=lambda *_: None, settings=settings)
        delivery.configure([destination])
        delivery._spool.reader("rotel")
        delivery._spool.append(make_payload(1, CallSpans(EVERYWHERE, None, [make_span("a", 5)])))
        delivery.start()
        (span,) = sink.wait_for_spans(1, timeout_s=60.0)
        delivery.stop(5.0)
    assert span.trace_state == "ot=th:0,xxxxx"
