"""Scenario 4: what does a large prompt cost? 200 KB is a long conversation, 2 MB one with pictures in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import started_all
from perf.figures import KINDS, Figures, add_costs, per_turn
from perf.load import Amount
from perf.payloads import Ask
from perf.report import Section, table
from perf.rounds import neighbour_doubts, tools_doubts
from perf.scenarios.open_loop import rounds_of
from perf.turns import Turns, take_turns

SIZES: Final = {"200 KB": 200_000, "2 MB": 2_000_000}
# Few, as each holds a whole prompt; enough to keep the core busy.
_CONNECTIONS: Final = 8
_SHOWN: Final = (
    *("worker_cpu_us", "total_cpu_us", "worker_cpu_ratio", "total_cpu_ratio", "rps", "mb_per_s"),
    *("p50_ms", "p99_ms", "worker_rss_mb"),
)


def run(bench: Bench, *, turns: int, seconds: float) -> Section:
    """Measure the gateway and the bare stack.

    Raises:
        RoundFailedError: The bare stack did not do its job.
        ProgramError: A program of the run failed.
    """
    taken: dict[str, Turns] = {}
    with started_all(bench, ("bare-stack", "gateway")) as running:
        for case, size_bytes in SIZES.items():
            amount, ask = Amount(_CONNECTIONS, seconds), Ask(size_bytes)
            taken[case] = take_turns(bench, running, amount, ask=ask, turns=turns, case=f"prompts, {case}")
    return section(taken, seconds)


def section(taken: dict[str, Turns], seconds: float) -> Section:
    """The part of the report that shows this scenario."""
    figures = Figures()
    for case, turns in taken.items():
        reference = next(iter(turns.rounds.values()))
        for name, rounds in turns.rounds.items():
            add_costs(figures, case, name, rounds, reference)
            figures.add(
                case,
                name,
                "mb_per_s",
                [value * SIZES[case] / 1e6 for value in per_turn(rounds, lambda one: one.rps)],
            )
    names = [(case, name) for case in figures.cases() for name in figures.contenders(case)]
    rows = [(case, name, *(figures.text(case, name, shown) for shown in _SHOWN)) for case, name in names]
    count = len(next(iter(next(iter(taken.values())).rounds.values())))
    return Section(
        "prompts",
        "Large prompts",
        table(("", "", *(KINDS[shown].label for shown in _SHOWN)), rows, left=2),
        f"{_CONNECTIONS} connections; turns taken: {count}; {seconds:g} s a round.",
        figures=tuple(figures),
        doubts=tuple(_doubts(taken)),
        failed=tuple(line for case, turns in taken.items() for line in turns.failures(case)),
        charts={"prompts": _chart(figures)},
        data={"rounds": rounds_of(taken)},
    )


def _doubts(taken: dict[str, Turns]) -> Sequence[str]:
    return [
        f"{case}: {name}: {doubt}"
        for case, turns in taken.items()
        for name, rounds in turns.rounds.items()
        for doubt in (*tools_doubts(rounds), *neighbour_doubts(rounds))
    ]


def _chart(figures: Figures) -> str:
    def bar(case: str, name: str) -> Bar:
        worker, total = (figures.median(case, name, f"{part}_cpu_us") for part in ("worker", "total"))
        ratio = figures.text(case, name, "total_cpu_ratio")
        return Bar(name, (Part(worker), Part(total - worker, shade=1)), f"{total / 1000:.2f} ms ({ratio})")

    groups = [
        Group(case, tuple(bar(case, name) for name in figures.contenders(case))) for case in figures.cases()
    ]
    subtitle = "CPU time per request, milliseconds (total / bare stack); shorter is better"
    return bar_chart("What a large prompt costs", subtitle, groups, ("serves", "control and the rest"))
