"""Scenario 6: does a second worker make a request dearer? Both share the core, at half of what it can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import EVERYTHING, started_all
from perf.figures import KINDS, Figures, per_turn, ratio_per_turn
from perf.load import Amount
from perf.report import Section, table
from perf.rounds import run_round
from perf.scenarios.open_loop import CONNECTIONS, rate_doubts, rounds_of
from perf.turns import Turns, take_turns

ONE: Final = replace(EVERYTHING, name="1 worker")
TWO: Final = replace(EVERYTHING, name="2 workers", workers=2)
_SHOWN: Final = (
    "worker_cpu_us",
    "total_cpu_us",
    "workers_cpu_ratio",
    "p50_ms",
    "p99_ms",
    "worker_rss_mb",
    "total_rss_mb",
)


def run(bench: Bench, *, turns: int, seconds: float) -> Section:
    """Measure the gateway with one worker and with two.

    Raises:
        RoundFailedError: The one worker did not do its job.
        ProgramError: A program of the run failed.
    """
    with started_all(bench, (ONE, TWO)) as running:
        capacity = run_round(bench, running[0], Amount(32, seconds)).rps
        rate = round(capacity / 2)
        bench.say(f"one worker reaches {capacity:,.0f} RPS; both get {rate:,}")
        amount = Amount(CONNECTIONS, seconds, rps=rate)
        taken = take_turns(bench, running, amount, turns=turns, case="workers")
    return section(taken, rate)


def section(taken: Turns, rate: int) -> Section:
    """The part of the report that shows this scenario."""
    figures = Figures()
    one = taken.rounds[ONE.name]
    for name, rounds in taken.rounds.items():
        figures.add("", name, "worker_cpu_us", per_turn(rounds, lambda round_: round_.worker_cpu_us))
        figures.add("", name, "total_cpu_us", per_turn(rounds, lambda round_: round_.total_cpu_us))
        ratios = ratio_per_turn(
            rounds, one, lambda round_: round_.total_cpu_us, lambda round_: round_.total_cpu_us
        )
        figures.add_any("", name, "workers_cpu_ratio", ratios)
        figures.add("", name, "p50_ms", per_turn(rounds, lambda round_: round_.latency.p50_ms))
        figures.add("", name, "p99_ms", per_turn(rounds, lambda round_: round_.latency.p99_ms))
        figures.add("", name, "worker_rss_mb", per_turn(rounds, lambda round_: round_.worker_rss_bytes / 1e6))
        figures.add("", name, "total_rss_mb", per_turn(rounds, lambda round_: round_.total_rss_bytes / 1e6))
    rows = [(name, *(figures.text("", name, shown) for shown in _SHOWN)) for name in taken.rounds]
    return Section(
        "workers",
        "One worker and two",
        table(("", *(KINDS[shown].label for shown in _SHOWN)), rows),
        f"{rate:,} RPS, half of what one worker can do; turns taken: {len(one)}. Both workers share the "
        "core; RSS of workers is that of all together.",
        figures=tuple(figures),
        doubts=tuple(doubt for name, rounds in taken.rounds.items() for doubt in rate_doubts(name, rounds)),
        failed=taken.failures(),
        charts={"workers": _chart(figures)},
        data={"rate": rate, "rounds": rounds_of({"": taken})[""]},
    )


def _chart(figures: Figures) -> str:
    def bar(name: str) -> Bar:
        worker, total = (figures.median("", name, f"{part}_cpu_us") for part in ("worker", "total"))
        ratio = figures.text("", name, "workers_cpu_ratio")
        return Bar(
            name, (Part(worker), Part(total - worker, shade=1)), f"{total:.0f} us ({ratio})", "#0969da"
        )

    groups = (Group("", tuple(bar(name) for name in figures.contenders(""))),)
    subtitle = "CPU time per request at half capacity, microseconds (total / one worker); shorter is better"
    return bar_chart("What a second worker costs", subtitle, groups, ("serves", "control and the rest"))
