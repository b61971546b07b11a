"""What the product promises of its speed, beside what a run measured. Pure.

A promise holds with everything on that is built, in one run with the reference: it is a ratio wherever a
ratio can be had, because machines differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from perf.figures import Figure


class Measured(Protocol):
    """A scenario's figures."""

    @property
    def name(self) -> str:
        """Of the scenario."""

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What it found."""

    @property
    def is_measured(self) -> bool:
        """Whether it could be measured at all."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One figure and its bounds.

    Attributes:
        scenario: Which measures it; `peers` is that of `make perf-peers`.
        name: Of the figure, for `contender` under `case`.
        must: What has to be kept; `reach` is what we aim at, None when there is no such aim.
        is_least: The bounds are lower ones.
    """

    words: str
    scenario: str
    case: str
    name: str
    must: float
    reach: float | None = None
    unit: str = ""
    is_least: bool = False
    contender: str = "gateway"


_PEERS: Final = "peers"
_BOUND: Final = "3 x the bound of calls in flight"
_CAPACITY: Final = "3 x the capacity"
_LONG: Final = "2 bodies of 20 MB at once"
_TRANSLATED: Final = "2 translated bodies of 20 MB at once"

PROMISES: Final = (
    Promise(
        "worker CPU/request at saturation / bare stack", "saturation", "", "worker_cpu_ratio", 0.75, 0.55
    ),
    Promise("total CPU/request at saturation / bare stack", "saturation", "", "total_cpu_ratio", 1.0, 0.75),
    Promise(
        "RPS on one core / Portkey",
        _PEERS,
        "saturation",
        "gateway_rps_ratio",
        7,
        11,
        is_least=True,
        contender="portkey",
    ),
    Promise(
        "RPS on one core / LiteLLM",
        _PEERS,
        "saturation",
        "gateway_rps_ratio",
        50,
        85,
        is_least=True,
        contender="litellm",
    ),
    Promise(
        "RPS on one core / vllm-router",
        _PEERS,
        "saturation",
        "gateway_rps_ratio",
        0.35,
        0.55,
        is_least=True,
        contender="vllm-router",
    ),
    Promise("added p50 at 350 RPS / bare stack", "open-loop", "350 RPS", "added_p50_ratio", 0.8, 0.6),
    Promise("added p99 at 350 RPS / bare stack", "open-loop", "350 RPS", "added_p99_ratio", 1.0, 0.8),
    Promise("added p95 at 350 RPS", "open-loop", "350 RPS", "added_p95_ms", 4.0, 1.5, unit=" ms"),
    Promise(
        "CPU per streamed event, unpaced / bare stack", "streams", "unpaced", "event_cpu_ratio", 1.2, 1.0
    ),
    Promise(
        "CPU per streamed event, 100 paced / bare stack",
        "streams",
        "100 at once",
        "event_cpu_ratio",
        1.2,
        1.0,
    ),
    Promise(
        "added first token p99, 100 streams / bare stack",
        "streams",
        "100 at once",
        "added_first_token_p99_ratio",
        1.0,
        0.5,
    ),
    Promise(
        "tracing on minus off, worker CPU / bare stack",
        "features",
        "",
        "less_off_ratio",
        0.12,
        0.06,
        contender="export proto",
    ),
    *(
        Promise(
            f"CPU per streamed chunk, {pair} / bare stack",
            "pairs",
            "streams",
            "chunk_cpu_ratio",
            1.2,
            1.0,
            contender=pair,
        )
        for pair in ("chat > openai", "messages > anthropic", "responses > responses")
    ),
    *(
        Promise(
            f"plan of 5 targets, {case}", "planning", "", "plan_us", 10.0, 5.0, unit=" us", contender=case
        )
        for case in (
            "weight-based",
            "weight-based, sticky",
            "priority-based",
            "latency-based",
            "weight-based, hedging",
            "weight-based, two circuits open",
        )
    ),
    Promise(
        "worker CPU/request of 10 rules and a budget",
        "features",
        "",
        "less_off_us",
        20.0,
        unit=" us",
        contender="10 rules and a budget",
    ),
    Promise(
        "limits of a call alone, 10 rules and a budget",
        "limiting",
        "",
        "limit_us",
        20.0,
        unit=" us",
        contender="10 rules and a budget",
    ),
    Promise(f"refusal p99 at {_BOUND}", "overload", _BOUND, "refusal_p99_ms", 100, unit=" ms"),
    Promise(f"admitted p99 at {_BOUND} / usual", "overload", _BOUND, "admitted_p99_ratio", 2.0),
    Promise(f"goodput at {_CAPACITY} / capacity", "overload", _CAPACITY, "goodput_ratio", 0.4, is_least=True),
    Promise(f"slowest health at {_CAPACITY}", "overload", _CAPACITY, "health_ms", 1000, unit=" ms"),
    *(
        Promise(f"calls and connections lost at {case}", "overload", case, "lost", 0)
        for case in (_BOUND, _CAPACITY)
    ),
    *(
        Promise(f"event loop lag p99 beside {case}", "overload", case, "lag_p99_ms", 50, unit=" ms")
        for case in (_LONG, _TRANSLATED)
    ),
    Promise("RSS per worker after 500,000 requests", "memory", "", "worker_rss_mb", 130, 110, unit=" MB"),
    Promise("its slope over 100,000 requests", "memory", "", "rss_slope_mb", 1.0, unit=" MB"),
    Promise(
        "total CPU/request at half capacity, 2 workers / 1",
        "workers",
        "",
        "workers_cpu_ratio",
        1.10,
        contender="2 workers",
    ),
)


@dataclass(frozen=True, slots=True)
class Words:
    """An outcome as people read it."""

    figure: str
    must: str
    reach: str
    measured: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A promise and what was measured, None when this run did not measure it.

    Attributes:
        was_tried: It was to be measured, and could not.
    """

    promise: Promise
    value: float | None
    was_tried: bool = False

    @property
    def is_broken(self) -> bool:
        """Whether it was measured and what must be is not."""
        return self.value is not None and not self._keeps(self.promise.must)

    def words(self) -> Words:
        """For a table."""
        one = self.promise
        sign = ">=" if one.is_least else "<="

        def bound(value: float | None) -> str:
            return "" if value is None else f"{sign} {value:g}{one.unit}"

        return Words(
            one.words,
            bound(one.must),
            bound(one.reach),
            "-" if self.value is None else f"{self.value:.2f}{one.unit}",
            self._verdict(),
        )

    def _keeps(self, bound: float) -> bool:
        assert self.value is not None  # noqa: S101  both callers have looked
        return self.value >= bound if self.promise.is_least else self.value <= bound

    def _verdict(self) -> str:
        if self.value is None and self.was_tried:
            return "not measured"
        if self.value is None:
            return "make perf-peers" if self.promise.scenario == _PEERS else "not in this run"
        if not self._keeps(self.promise.must):
            return "NOT MET"
        return "reached" if self.promise.reach is None or self._keeps(self.promise.reach) else "met"


def judge(sections: Mapping[str, Measured]) -> tuple[Outcome, ...]:
    """Every promise, beside what *sections* (by name) measured."""
    return tuple(Outcome(one, _value(one, sections), _was_tried(one, sections)) for one in PROMISES)


def _was_tried(promise: Promise, sections: Mapping[str, Measured]) -> bool:
    section = sections.get(promise.scenario)
    if section is None:
        return False
    # A case that others have figures of; a shorter suite has fewer cases.
    return not section.is_measured or any(one.case == promise.case for one in section.figures)


def _value(promise: Promise, sections: Mapping[str, Measured]) -> float | None:
    section = sections.get(promise.scenario)
    if section is None:
        return None
    wanted = (promise.case, promise.contender, promise.name)
    return next(
        (one.median for one in section.figures if (one.case, one.contender, one.name) == wanted), None
    )
