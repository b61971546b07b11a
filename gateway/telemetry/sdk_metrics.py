"""Metric points as an OTLP request, through the metrics model of the OpenTelemetry SDK and its encoder.

A `MeterProvider` with asynchronous instruments would carry sums and gauges, but no histogram: the API has no
asynchronous one, and Python's SDK no `MetricProducer`. So the sums become the SDK's own `MetricsData`, which
is what its readers hand to its exporters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway import __version__
from gateway.telemetry.instruments import INSTRUMENTS, Instrument
from gateway.telemetry.resource import SERVICE_NAME
from gateway.wire.frames import FrameError, MetricKind, MetricPoint

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric

_PORT: Final = "server.port"

Timed = tuple[MetricPoint, int]
"""A point, and the Unix time in nanoseconds since when it counts."""


def encode_request(points: Iterable[Timed], *, resource: bytes, now_ns: int, is_delta: bool) -> bytes:
    """An `ExportMetricsServiceRequest`.

    Args:
        points: With the start of each; those of an instrument that this version does not know are left out.
        resource: Encoded `Resource` message.
        now_ns: Unix time at which the points were read.
        is_delta: The points are what was added since their start.
    """
    # Imported for the first request: who exports no metrics does without their memory.
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
        MetricsData,
        ResourceMetrics,
        ScopeMetrics,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

    grouped: dict[str, list[Timed]] = {}
    for point, start_ns in points:
        # The clock may have been set back since the start, and nobody takes a point that ends before it.
        grouped.setdefault(point.name, []).append((point, min(start_ns, now_ns)))
    metrics = [
        _metric(INSTRUMENTS[name], group, now_ns, is_delta=is_delta)
        for name, group in grouped.items()
        if name in INSTRUMENTS
    ]
    scope = InstrumentationScope(SERVICE_NAME, __version__)
    data = MetricsData([ResourceMetrics(Resource({}), [ScopeMetrics(scope, metrics, "")], "")])
    request = encode_metrics(data)
    request.resource_metrics[0].resource.ParseFromString(resource)
    return request.SerializeToString()


def request_json(body: bytes) -> bytes:
    """An `ExportMetricsServiceRequest` in OTLP's JSON.

    Raises:
        FrameError: It is no such message.
    """
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - as above
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415
        ExportMetricsServiceRequest,
    )

    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise FrameError("not an ExportMetricsServiceRequest") from error
    # Metrics carry no ids and no bytes, in whose form OTLP's JSON differs from protobuf's.
    document = MessageToDict(request, use_integers_for_enums=True)
    for group in document.get("resourceMetrics", ()):
        for scope in group.get("scopeMetrics", ()):
            for metric in scope.get("metrics", ()):
                for point in metric.get("histogram", {}).get("dataPoints", ()):
                    _write_counts_as_numbers(point)
    return orjson.dumps(document)


def _write_counts_as_numbers(point: dict[str, Any]) -> None:
    """A histogram's counts, which protobuf's JSON has as strings.

    Every reader has to take both. Receivers on Rust's opentelemetry-proto (rotel 0.0.1a15) take numbers only
    here, answer 200 to strings, and lose the histogram.
    """
    point["count"] = int(point.get("count", 0))
    point["bucketCounts"] = [int(count) for count in point.get("bucketCounts", ())]


def _metric(instrument: Instrument, points: Sequence[Timed], now_ns: int, *, is_delta: bool) -> Metric:
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415 - as above
        AggregationTemporality,
        Gauge,
        Histogram,
        Metric,
        Sum,
    )

    temporality = AggregationTemporality.DELTA if is_delta else AggregationTemporality.CUMULATIVE
    data: Sum | Gauge | Histogram
    if instrument.kind is MetricKind.HISTOGRAM:
        bounds = instrument.bounds
        histograms = [
            _histogram(instrument, point, start_ns, now_ns)
            for point, start_ns in points
            if len(point.values) == len(bounds) + 2
        ]
        data = Histogram(histograms, temporality)
    else:
        numbers = [_number(instrument, point, start_ns, now_ns) for point, start_ns in points]
        is_sum = instrument.kind is MetricKind.SUM
        data = Sum(numbers, temporality, is_monotonic=True) if is_sum else Gauge(numbers)
    return Metric(instrument.name, instrument.description, instrument.unit, data)


def _number(instrument: Instrument, point: MetricPoint, start_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics.export import NumberDataPoint  # noqa: PLC0415 - as above

    value = point.values[0]
    return NumberDataPoint(
        _attributes(instrument, point), start_ns, now_ns, value if math.isfinite(value) else 0
    )


def _histogram(instrument: Instrument, point: MetricPoint, start_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint  # noqa: PLC0415 - as above

    counts = [int(count) for count in point.values[:-1]]
    return HistogramDataPoint(
        _attributes(instrument, point),
        start_ns,
        now_ns,
        sum(counts),
        point.values[-1],
        counts,
        instrument.bounds,
        # Nobody knows them of cumulative buckets; the encoder leaves None out.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
    )


def _attributes(instrument: Instrument, point: MetricPoint) -> Mapping[str, str | int]:
    """The labels that apply; the port as the number that it is on spans."""
    return {
        name: int(value) if name == _PORT and value.isascii() and value.isdigit() else value
        for name, value in instrument.labels_of(point)
    }
