"""Points as OTLP requests, read by protobuf's own classes."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Metric,
)

from gateway.telemetry import instruments as names
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.resource import worker_resource
from gateway.telemetry.sdk_metrics import encode_request, request_json
from gateway.wire.frames import FrameError, MetricKind, MetricPoint

RESOURCE = worker_resource("instance", host="h", pid=7)


def encode(*points: MetricPoint, is_delta: bool = False) -> ExportMetricsServiceRequest:
    body = encode_request([(point, 10) for point in points], resource=RESOURCE, now_ns=20, is_delta=is_delta)
    return ExportMetricsServiceRequest.FromString(body)


def metrics_of(request: ExportMetricsServiceRequest) -> list[Metric]:
    [group] = request.resource_metrics
    [scope] = group.scope_metrics
    assert scope.scope.name == "tfy-llm-gateway"
    return list(scope.metrics)


def test_resource_is_ours() -> None:
    """The same attributes as on spans, without the SDK's own."""
    [group] = encode(names.WORKERS.point(1)).resource_metrics
    found = {item.key: item.value.string_value for item in group.resource.attributes}
    assert found["service.name"] == "tfy-llm-gateway"
    assert found["service.instance.id"] == "instance"
    assert len(found) == len(group.resource.attributes)


@pytest.mark.parametrize(
    ("is_delta", "temporality"),
    [(False, AGGREGATION_TEMPORALITY_CUMULATIVE), (True, AGGREGATION_TEMPORALITY_DELTA)],
    ids=["sums", "deltas"],
)
def test_sum(*, is_delta: bool, temporality: int) -> None:
    """Monotonic, whole numbers whole, with the time since when it counts."""
    [metric] = metrics_of(encode(names.REQUESTS.point(3, "m", "", "t"), is_delta=is_delta))
    assert (metric.name, metric.unit) == ("ai_gateway_requests_total", "{request}")
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == temporality
    [point] = metric.sum.data_points
    assert (point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (3, 10, 20)
    found = {item.key: item.value.string_value for item in point.attributes}
    assert found == {"model_name": "m", "tenant_name": "t"}


def test_a_point_does_not_end_before_it_starts() -> None:
    """Not even after the clock was set back."""
    body = encode_request(
        [(names.REQUESTS.point(3, "m", "", "t"), 10)], resource=b"", now_ns=5, is_delta=True
    )
    [metric] = metrics_of(ExportMetricsServiceRequest.FromString(body))
    [point] = metric.sum.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (5, 5)


def test_labels_beside_those_of_the_instrument() -> None:
    """They bring their names."""
    [metric] = metrics_of(encode(names.REQUESTS.point(1, "a", "", "t", "llm_gateway_metadata_team=x=y")))
    [point] = metric.sum.data_points
    assert {item.key: item.value.string_value for item in point.attributes} == {
        "model_name": "a",
        "tenant_name": "t",
        "llm_gateway_metadata_team": "x=y",
    }


def test_histogram() -> None:
    """Buckets as they are, sum and count; nobody knows least and most."""
    labels = ("chat", "openai", "m", "", "h", "443", "")
    counts = [0, 2, *[0] * 12, 1]
    point = MetricPoint(names.INFERENCE_DURATION.name, labels, MetricKind.HISTOGRAM, [*counts, 90.5])
    [metric] = metrics_of(encode(point))
    [found] = metric.histogram.data_points
    assert (list(found.bucket_counts), found.count, found.sum) == (counts, 3, 90.5)
    assert tuple(found.explicit_bounds) == names.SECONDS
    assert not found.HasField("min")
    assert not found.HasField("max")
    attributes = {item.key: item.value for item in found.attributes}
    assert attributes["server.port"].int_value == 443
    assert "error.type" not in attributes


def test_gauge() -> None:
    """A number of this moment."""
    [metric] = metrics_of(encode(names.MEMORY.point(4096, "worker", "7")))
    assert metric.gauge.data_points[0].as_int == 4096


def test_what_cannot_be_said_is_left_out() -> None:
    """Points of another version, and a number that is none."""
    odd = MetricPoint(names.LOOP_LAG.name, (), MetricKind.HISTOGRAM, [1, 2])
    request = encode(MetricPoint("gone", (), MetricKind.SUM, [1]), odd, names.WORKERS.point(float("nan")))
    lag, workers = metrics_of(request)
    assert not lag.histogram.data_points
    assert workers.gauge.data_points[0].as_int == 0


def test_json_says_the_same() -> None:
    """OTLP's JSON: lower camel case, integers for enums, 64-bit numbers as strings but for bucket counts."""
    points = []
    for one in INSTRUMENTS.values():
        values: list[int | float] = [2] * (len(one.bounds) + 2 if one.bounds else 1)
        points.append(MetricPoint(one.name, ("8",) * len(one.labels), one.kind, values))
    request = encode(*points)
    text = request_json(request.SerializeToString())
    assert json_format.Parse(text, ExportMetricsServiceRequest()) == request
    [metric] = [
        metric
        for metric in json.loads(text)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
        if metric["name"] == "ai_gateway_requests_total"
    ]
    assert metric["sum"]["aggregationTemporality"] == 2
    assert metric["sum"]["dataPoints"][0]["asInt"] == "2"


def test_counts_of_json_histograms_are_numbers() -> None:
    """Some receivers take strings there and lose the histogram."""
    point = MetricPoint(names.LOOP_LAG.name, (), MetricKind.HISTOGRAM, [1] * 13 + [0.5])
    document = json.loads(request_json(encode(point).SerializeToString()))
    [metric] = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    [found] = metric["histogram"]["dataPoints"]
    assert (found["count"], found["bucketCounts"]) == (13, [1] * 13)


def test_garbage_is_no_request() -> None:
    """And says so as the rest of delivery does."""
    with pytest.raises(FrameError):
        request_json(b"\xff\xff\xff")
