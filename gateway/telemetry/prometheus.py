"""Metric points as Prometheus text, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate
from typing import Final

from gateway.telemetry.instruments import INSTRUMENTS, Instrument
from gateway.wire.frames import MetricKind, MetricPoint

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_TYPES: Final = {
    MetricKind.SUM: "counter",
    MetricKind.GAUGE: "gauge",
    MetricKind.HISTOGRAM: "histogram",
}
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def to_text(points: Iterable[MetricPoint]) -> bytes:
    """All *points*, those of one instrument together; none of an instrument that this version lacks."""
    grouped: dict[str, list[MetricPoint]] = {}
    for point in points:
        grouped.setdefault(point.name, []).append(point)
    lines: list[str] = []
    for name, group in sorted(grouped.items()):
        instrument = INSTRUMENTS.get(name)
        if instrument is not None:
            lines += _family(instrument, group)
    lines.append("")
    return "\n".join(lines).encode()


def _family(instrument: Instrument, points: list[MetricPoint]) -> Iterator[str]:
    name = instrument.prometheus_name
    yield f"# HELP {name} {instrument.description}"
    yield f"# TYPE {name} {_TYPES[instrument.kind]}"
    for point in points:
        labels = ",".join(
            [
                f'{_label_name(label)}="{value.translate(_ESCAPES)}"'
                for label, value in instrument.labels_of(point)
            ]
        )
        if instrument.kind is not MetricKind.HISTOGRAM:
            yield f"{name}{_braced(labels)} {_number(point.values[0])}"
        elif len(point.values) == len(instrument.bounds) + 2:
            yield from _histogram(name, labels, _bucket_ends(instrument.bounds), point.values)


def _histogram(name: str, labels: str, ends: tuple[str, ...], values: list[int | float]) -> Iterator[str]:
    separator = "," if labels else ""
    counts = list(accumulate(values[:-1]))
    head = f"{name}_bucket{{{labels}{separator}"
    for end, count in zip(ends, counts, strict=True):
        yield f"{head}{end} {count}"
    yield f"{name}_sum{_braced(labels)} {_number(values[-1])}"
    yield f"{name}_count{_braced(labels)} {counts[-1]}"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "NaN"


@cache
def _label_name(label: str) -> str:
    return label.replace(".", "_")


@cache
def _bucket_ends(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(f'le="{bound!r}"}}' for bound in bounds), 'le="+Inf"}')
