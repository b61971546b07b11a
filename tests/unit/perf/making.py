"""Rounds as the tests of what is made of them want them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from perf.latency import Latency
from perf.load import StreamFigures
from perf.rounds import Round

LATENCY: Final = Latency(5.0, 9.0, 12.0, 20.0)
ROUND: Final = Round(
    requests=15_000,
    rps=5000.0,
    latency=LATENCY,
    worker_cpu_us=200.0,
    total_cpu_us=200.0,
    deferred_cpu_us=0.0,
    worker_rss_bytes=80_000_000,
    total_rss_bytes=80_000_000,
    busy_ratio=1.0,
    tools_ratio=0.2,
    foreign_ratio=0.0,
)
GATEWAY: Final = replace(
    ROUND, rps=6000.0, worker_cpu_us=120.0, total_cpu_us=170.0, total_rss_bytes=200_000_000
)


def make_round(**changes: Any) -> Round:
    """A good round, but for *changes*."""
    return replace(ROUND, **changes)


def make_latency(p50_ms: float, p99_ms: float | None = None) -> Latency:
    """A latency whose p95 lies in the middle."""
    slow = p50_ms if p99_ms is None else p99_ms
    return Latency(p50_ms, (p50_ms + slow) / 2, slow, slow)


def make_streams(first_ms: float, *, events: int = 1020, **changes: Any) -> StreamFigures:
    """What was seen of ten streams."""
    figures = StreamFigures(make_latency(first_ms), make_latency(20.0, 21.0), events, 0, 0)
    return replace(figures, **changes)
