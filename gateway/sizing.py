"""How many machines a load needs: arithmetic on measured figures.

Pure. The figures are those of `python -m perf.sizing` and `python -m perf.counting` on one core of the
machine that docs/scaling.md names; on another one, measure and multiply. What this leaves out stands there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

_US: Final = 1e-6
_BYTES_PER_TOKEN: Final = 4
_EVENT_FRAME_BYTES: Final = 200
"""What a chat event has around its few letters."""

_DAY_S: Final = 86_400
_BESIDE: Final = " " * 12

IN_FLIGHT: Final = 4_096
"""Of calls, that a worker takes on unless `--max-in-flight` says otherwise."""

INPUT_BYTES: Final = 536_870_912
"""Of their bodies, unless `--max-input-bytes-in-flight` does."""

CONNECTIONS: Final = 16_384
"""That a worker has at once, whatever is said; each call has one."""

PORTS: Final = 28_000
"""For connections from one host address to one address of a provider."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured, everything on: keys, a virtual model, ten limits, a budget, metadata, cost, traces.

    Attributes:
        call_us: CPU time of a worker for a small call, at saturation.
        call_control_us: Of the control process for the same.
        prompt_us_per_kb: Of a worker for each kilobyte of a long prompt.
        event_us: Of a worker for an event of a stream that comes at a model's pace.
        worker_mb: Memory of a worker after some 100,000 calls, long prompts among them; *others_mb* of the
            processes beside.
        open_stream_kb: Memory for each stream that is open; *open_answer_kb* for each other call.
        held_prompt_ratio: Memory for the prompt of an open call, of its size.
        call_span_bytes: Of telemetry for a call, as it goes over the wire, gzipped, without content.
        counting_us: CPU time of Redis or Valkey for a call, ten limits and a budget; *counting_trips* to it.
        counting_worker_us: What that costs a worker beyond counting in the file of its own host.
    """

    call_us: float
    call_control_us: float
    prompt_us_per_kb: float
    event_us: float
    worker_mb: float
    others_mb: float
    open_stream_kb: float
    open_answer_kb: float
    held_prompt_ratio: float
    call_span_bytes: float
    counting_us: float
    counting_trips: int
    counting_worker_us: float

    def of(self, replicas: int) -> Costs:
        """Of each of so many gateways: several count in Redis."""
        return self if replicas == 1 else replace(self, call_us=self.call_us + self.counting_worker_us)


MEASURED: Final = Costs(
    call_us=142,
    call_control_us=31,
    prompt_us_per_kb=2.0,
    event_us=38,
    worker_mb=145,
    others_mb=190,
    open_stream_kb=40,
    open_answer_kb=50,
    held_prompt_ratio=5,
    # Measured: 125, of calls that are all alike, which gzip likes. This is for calls that differ.
    call_span_bytes=500,
    counting_us=80,
    counting_trips=2,
    counting_worker_us=32,
)
"""On an AMD EPYC of 2025, Python 3.11; rounded up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be carried.

    Attributes:
        rps: Calls that begin in a second, at the peak.
        stream_share: Of them, how many are streamed, 0 to 1.
        output_tokens: Of an answer; each an event of its own where it is streamed.
        prompt_tokens: Of a call.
        tokens_per_s: How quickly a model writes.
    """

    rps: float
    stream_share: float = 0.5
    output_tokens: int = 400
    prompt_tokens: int = 1_000
    tokens_per_s: float = 50.0

    @property
    def answer_s(self) -> float:
        """How long a call takes."""
        return self.output_tokens / self.tokens_per_s

    @property
    def open_streams(self) -> float:
        """Streams at one time."""
        return self.rps * self.stream_share * self.answer_s

    @property
    def open_calls(self) -> float:
        """Calls at one time, streams among them."""
        return self.rps * self.answer_s

    @property
    def prompt_kb(self) -> float:
        """Of a call."""
        return self.prompt_tokens * _BYTES_PER_TOKEN / 1000

    @property
    def events_per_s(self) -> float:
        """Events of all streams."""
        return self.rps * self.stream_share * self.output_tokens


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a load needs.

    Attributes:
        replicas: Gateways, with those that stand in for a zone that is lost.
        zones: Over which they are spread evenly.
        cores: Of each; a worker each.
        memory_mb: Of each, at the peak.
        busy_ratio: Of all cores at the peak, all zones there.
        busy_ratio_without_zone: The same with one zone lost; that of all where there is one.
        open_calls: Of a replica, a zone lost: what balancers and `--max-in-flight` must bear.
        held_mb: Of the bodies of these calls: what `--max-input-bytes-in-flight` must.
        telemetry_mb_per_s: To the destination of traces, gzipped.
        telemetry_gb_per_day: If the peak lasted all day.
        redis_cores: That counting in Redis or Valkey takes, at 60 % each, all of one server on one; 0.0 for a
            single replica, which needs none.
        redis_trips_per_s: Round trips to it.
        answers_mb_per_s: To callers.
    """

    replicas: int
    zones: int
    cores: int
    memory_mb: float
    busy_ratio: float
    busy_ratio_without_zone: float
    open_calls: float
    held_mb: float
    telemetry_mb_per_s: float
    telemetry_gb_per_day: float
    redis_cores: float
    redis_trips_per_s: float
    answers_mb_per_s: float


MOST_BUSY: Final = 0.6
"""Of a core at the peak: above it what waits grows quickly (docs/scaling.md)."""


def busy_cores(load: Load, costs: Costs = MEASURED) -> float:
    """Cores that *load* keeps busy, wherever they are."""
    call_us = costs.call_us + costs.call_control_us + load.prompt_kb * costs.prompt_us_per_kb
    return (load.rps * call_us + load.events_per_s * costs.event_us) * _US


def size(load: Load, *, cores: int, zones: int = 1, costs: Costs = MEASURED) -> Fleet:
    """The smallest fleet of gateways with *cores* each that carries *load*, also when one of *zones* is lost.

    Raises:
        ValueError: A number is out of its range.
    """
    _check(load, cores, zones)
    replicas = _replicas(load, busy_cores(load, costs), cores, zones)
    busy = busy_cores(load, costs.of(replicas))
    # Not fewer for it: what counts in Redis costs more.
    replicas = _replicas(load, busy, cores, zones)
    left = replicas * _left_ratio(zones)
    telemetry_mb_per_s = load.rps * costs.call_span_bytes / 1e6
    is_shared = replicas > 1
    words = _EVENT_FRAME_BYTES * load.stream_share + _BYTES_PER_TOKEN
    return Fleet(
        replicas=replicas,
        zones=zones,
        cores=cores,
        memory_mb=costs.others_mb + cores * costs.worker_mb + _open_kb(load, costs) / left / 1000,
        busy_ratio=busy / (replicas * cores),
        busy_ratio_without_zone=busy / (left * cores),
        open_calls=load.open_calls / left,
        held_mb=load.open_calls * load.prompt_kb / left / 1000,
        telemetry_mb_per_s=telemetry_mb_per_s,
        telemetry_gb_per_day=telemetry_mb_per_s * _DAY_S / 1000,
        redis_cores=load.rps * costs.counting_us * _US / MOST_BUSY if is_shared else 0.0,
        redis_trips_per_s=load.rps * costs.counting_trips if is_shared else 0.0,
        answers_mb_per_s=load.rps * load.output_tokens * words / 1e6,
    )


def _left_ratio(zones: int) -> float:
    """Of the gateways, when a zone is lost."""
    return (zones - 1) / zones if zones > 1 else 1.0


def _open_kb(load: Load, costs: Costs) -> float:
    """Memory of all open calls."""
    answers = load.open_calls - load.open_streams
    words = load.open_streams * costs.open_stream_kb + answers * costs.open_answer_kb
    return words + load.open_calls * load.prompt_kb * costs.held_prompt_ratio


def _replicas(load: Load, busy: float, cores: int, zones: int) -> int:
    workers = max(busy / MOST_BUSY, load.open_calls / CONNECTIONS)
    replicas = math.ceil(workers / cores / _left_ratio(zones))
    return max(zones, math.ceil(replicas / zones) * zones)


def _check(load: Load, cores: int, zones: int) -> None:
    for name, value, least, most in (
        ("rps", load.rps, 0.001, 1e7),
        ("stream share", load.stream_share, 0, 1),
        ("tokens", load.output_tokens, 1, 1e6),
        ("prompt tokens", load.prompt_tokens, 0, 1e7),
        ("tokens per second", load.tokens_per_s, 0.01, 1e6),
        ("cores", cores, 1, 1024),
        ("zones", zones, 1, 100),
    ):
        if not least <= value <= most:
            msg = f"{name}: expected a number from {least:g} to {most:g}"
            raise ValueError(msg)


def told(load: Load, fleet: Fleet) -> list[str]:
    """Both, a line each, for people."""
    lost = (
        ""
        if fleet.zones == 1
        else f"; {fleet.busy_ratio_without_zone:.0%} when one of {fleet.zones} zones is lost"
    )
    streams = f"{load.open_streams:,.0f} streams open, {load.events_per_s:,.0f} events a second"
    spans = f"{fleet.telemetry_mb_per_s:,.2f} MB a second gzipped, without content"
    counting = f"{fleet.redis_trips_per_s:,.0f} round trips a second, {math.ceil(fleet.redis_cores):,} cores"
    redis = (
        f"{counting} for ten limits and a budget of each call"
        if fleet.redis_cores
        else "none is needed: one gateway counts by itself"
    )
    return [
        f"load        {load.rps:,g} calls a second, {streams}",
        f"gateways    {fleet.replicas:,} of {fleet.cores} cores and {fleet.memory_mb:,.0f} MB",
        f"busy        {fleet.busy_ratio:.0%} of their cores at the peak{lost}",
        f"calls open  {fleet.open_calls:,.0f} at each gateway, at the most",
        *_told_bounds(fleet),
        f"answers     {fleet.answers_mb_per_s:,.1f} MB a second",
        f"telemetry   {spans}; {fleet.telemetry_gb_per_day:,.0f} GB if the peak lasted a day",
        f"Redis       {redis}",
        *_told_groups(fleet),
        "Rehearse with your own load before you rely on it: docs/scaling.md says what this leaves out.",
    ]


def _told_groups(fleet: Fleet) -> Iterator[str]:
    """What to do where one Redis, which counts on one core, is not enough."""
    groups = math.ceil(fleet.redis_cores)
    if groups > 1:
        yield f"{_BESIDE}one counts on one core, in a cluster too: make {groups} groups, each with its own"


def _told_bounds(fleet: Fleet) -> Iterator[str]:
    """What has to be raised for so many open calls, or be more than one."""
    calls = math.ceil(fleet.open_calls / fleet.cores)
    if calls > IN_FLIGHT:
        yield f"{_BESIDE}over --max-in-flight, {IN_FLIGHT:,} a worker: raise it to more than {calls:,}"
    held = math.ceil(fleet.held_mb * 1e6 / fleet.cores)
    if held > INPUT_BYTES:
        bound = f"--max-input-bytes-in-flight, {INPUT_BYTES:,} a worker"
        yield f"{_BESIDE}prompts over {bound}: raise it to more than {held:,}"
    if fleet.open_calls > PORTS:
        yield f"{_BESIDE}over {PORTS:,} connections of one address to one of a provider: use several"
