"""Figures: what the rounds of a contender gave, turn by turn, and the middle of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from perf.rounds import Round

_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """What a figure of some name is.

    Attributes:
        form: How a value is written.
        is_less_better: None: neither is better.
    """

    label: str
    form: str = "{:.2f}"
    is_less_better: bool | None = True


KINDS: Final[dict[str, Kind]] = {
    "worker_cpu_us": Kind("CPU/request worker", "{:.0f} us"),
    "total_cpu_us": Kind("total", "{:.0f} us"),
    "control_cpu_us": Kind("control", "{:.0f} us"),
    "worker_cpu_ratio": Kind("worker / bare stack"),
    "total_cpu_ratio": Kind("total / bare stack"),
    "rps": Kind("RPS", "{:,.0f}", is_less_better=False),
    "gateway_rps_ratio": Kind("RPS gateway / it", is_less_better=False),
    "rps_ratio": Kind("RPS / bare stack", is_less_better=False),
    "p50_ms": Kind("p50 ms", "{:.1f}"),
    "p95_ms": Kind("p95 ms", "{:.1f}"),
    "p99_ms": Kind("p99 ms", "{:.1f}"),
    "worker_rss_mb": Kind("RSS worker MB", "{:.0f}"),
    "total_rss_mb": Kind("RSS total MB", "{:.0f}"),
    "added_p50_ms": Kind("added p50 ms"),
    "added_p95_ms": Kind("added p95 ms"),
    "added_p99_ms": Kind("added p99 ms"),
    "added_p50_ratio": Kind("added p50 / bare stack"),
    "added_p99_ratio": Kind("added p99 / bare stack"),
    "added_first_token_p50_ms": Kind("added first token p50 ms"),
    "added_first_token_p99_ms": Kind("added first token p99 ms"),
    "added_first_token_p99_ratio": Kind("first token p99 / bare stack"),
    "gap_p99_ms": Kind("gap p99 ms", "{:.1f}"),
    "stalls": Kind("stalls", "{:.0f}"),
    "lost": Kind("lost", "{:.0f}"),
    "events_per_s": Kind("events/s", "{:,.0f}", is_less_better=False),
    "worker_event_cpu_us": Kind("CPU/event worker", "{:.1f} us"),
    "total_event_cpu_us": Kind("CPU/event total", "{:.1f} us"),
    "event_cpu_ratio": Kind("CPU/event / bare stack"),
    "worker_chunk_cpu_us": Kind("CPU/chunk worker", "{:.1f} us"),
    "total_chunk_cpu_us": Kind("CPU/chunk total", "{:.1f} us"),
    "chunk_cpu_ratio": Kind("CPU/chunk / bare stack"),
    "mb_per_s": Kind("MB/s", "{:,.0f}", is_less_better=False),
    "less_off_us": Kind("worker less tracing off", "{:+.1f} us"),
    "less_off_ratio": Kind("the same / bare stack"),
    "rss_growth_mb": Kind("RSS growth MB", "{:.1f}"),
    "rss_slope_mb": Kind("RSS slope MB / 100,000", "{:.2f}"),
    "plan_us": Kind("one plan", "{:.1f} us"),
    "limit_us": Kind("limits of a call", "{:.1f} us"),
    "refusal_p99_ms": Kind("refusal p99 ms", "{:.1f}"),
    "admitted_p99_ratio": Kind("admitted p99 / usual"),
    "goodput_ratio": Kind("goodput / capacity", is_less_better=False),
    "health_ms": Kind("slowest health ms", "{:.0f}"),
    "lag_p99_ms": Kind("loop lag p99 ms", "{:.0f}"),
    "workers_cpu_ratio": Kind("total CPU, 2 workers / 1"),
}
"""By name. Figures without a kind here cannot be made, so that every one has a direction and a form."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        case: Under what: "350 RPS"; "" in a scenario with one case.
        values: One per turn.
    """

    case: str
    contender: str
    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure: one disturbed turn does not move it."""
        return median(self.values)

    @property
    def text(self) -> str:
        """As tables show it."""
        return KINDS[self.name].form.format(self.median)


@dataclass
class Figures:
    """The figures of one scenario, in the order in which they were added."""

    _found: dict[tuple[str, str, str], Figure] = field(default_factory=dict)

    def add(self, case: str, contender: str, name: str, values: Iterable[float]) -> None:
        """Add one.

        Raises:
            KeyError: It has no kind.
            ValueError: There are no values.
        """
        KINDS[name]
        figure = Figure(case, contender, name, tuple(values))
        if not figure.values:
            raise ValueError(f"{contender}, {name}: no values")
        self._found[case, contender, name] = figure

    def add_any(self, case: str, contender: str, name: str, values: Sequence[float]) -> None:
        """Add one that may have no values, as a ratio to nothing has: then it is left out."""
        if values:
            self.add(case, contender, name, values)

    def find(self, case: str, contender: str, name: str) -> Figure | None:
        """One, None when it was not measured."""
        return self._found.get((case, contender, name))

    def text(self, case: str, contender: str, name: str) -> str:
        """One as tables show it."""
        figure = self.find(case, contender, name)
        return figure.text if figure else "-"

    def median(self, case: str, contender: str, name: str) -> float:
        """The middle of one, 0.0 when it was not measured."""
        figure = self.find(case, contender, name)
        return figure.median if figure else 0.0

    def cases(self) -> list[str]:
        """All cases."""
        return list(dict.fromkeys(case for case, _, _ in self._found))

    def contenders(self, case: str) -> list[str]:
        """Those that have figures under *case*."""
        return list(dict.fromkeys(contender for found, contender, _ in self._found if found == case))

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._found.values())


Take = Callable[[Round], float]


def per_turn(rounds: Sequence[Round], take: Take) -> list[float]:
    """One figure of each round."""
    return [take(one) for one in rounds]


def ratio_per_turn(rounds: Sequence[Round], reference: Sequence[Round], take: Take, of: Take) -> list[float]:
    """The ratio inside each turn, which a drift of the machine between turns does not touch.

    None of a turn in which the reference has nothing: a ratio of nothing would look like the best of all.
    """
    pairs = zip(rounds, reference, strict=True)
    return [take(one) / divisor for one, other in pairs if (divisor := of(other)) > 0]


def less_per_turn(rounds: Sequence[Round], direct: Sequence[Round], take: Take) -> list[float]:
    """What *rounds* have more than *direct* inside each turn."""
    return [take(one) - take(other) for one, other in zip(rounds, direct, strict=True)]


def add_costs(
    figures: Figures, case: str, contender: str, rounds: Sequence[Round], reference: Sequence[Round]
) -> None:
    """What requests of *contender* cost, by themselves and beside the *reference*."""

    def add(name: str, values: Sequence[float]) -> None:
        figures.add_any(case, contender, name, values)

    add("worker_cpu_us", per_turn(rounds, lambda one: one.worker_cpu_us))
    add("total_cpu_us", per_turn(rounds, lambda one: one.total_cpu_us))
    # Worker and total, each against the whole process tree of the reference.
    add(
        "worker_cpu_ratio",
        ratio_per_turn(rounds, reference, lambda one: one.worker_cpu_us, lambda one: one.total_cpu_us),
    )
    add(
        "total_cpu_ratio",
        ratio_per_turn(rounds, reference, lambda one: one.total_cpu_us, lambda one: one.total_cpu_us),
    )
    add("rps", per_turn(rounds, lambda one: one.rps))
    add("rps_ratio", ratio_per_turn(rounds, reference, lambda one: one.rps, lambda one: one.rps))
    add("p50_ms", per_turn(rounds, lambda one: one.latency.p50_ms))
    add("p95_ms", per_turn(rounds, lambda one: one.latency.p95_ms))
    add("p99_ms", per_turn(rounds, lambda one: one.latency.p99_ms))
    add("worker_rss_mb", per_turn(rounds, lambda one: one.worker_rss_bytes / _MB))
    add("total_rss_mb", per_turn(rounds, lambda one: one.total_rss_bytes / _MB))
