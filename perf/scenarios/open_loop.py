"""Scenario 2: how much later does an answer come, at a rate that a machine is run at?

Calls begin at a fixed rate. *Added* is what a contender has more than the upstream alone in the same turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import CONTENDERS, available, direct, started_all
from perf.figures import KINDS, Figures, less_per_turn, per_turn
from perf.load import PATIENCE_S, Amount
from perf.report import Section, table
from perf.rounds import Round, neighbour_doubts
from perf.turns import Turns, take_turns

CONNECTIONS: Final = 64
_LEAST_S: Final = 1.5
_REFERENCE: Final = "bare stack"
# A contender that answers fewer of the calls that were due has fallen behind.
_KEPT_UP_RATIO: Final = 0.98
# A generator that is later than this puts its own time into what it measures.
_LAG_MS: Final = 1.0
_SHOWN: Final = (
    *("added_p50_ms", "added_p95_ms", "added_p99_ms", "added_p50_ratio", "added_p99_ratio"),
    *("worker_cpu_us", "total_cpu_us"),
)


def run(
    bench: Bench,
    *,
    rates: Sequence[int],
    turns: int,
    calls: int,
    contenders: Sequence[str] = tuple(CONTENDERS),
) -> Section:
    """Measure *contenders* and the upstream alone at each of *rates*.

    Args:
        calls: The least of a round: a p99 wants many.

    Raises:
        RoundFailedError: The upstream did not do its job.
        ProgramError: A program of the run failed.
    """
    taken: dict[str, Turns] = {}
    with started_all(bench, available(contenders)) as running:
        for rate in rates:
            amount, case = at_rate(rate, calls), f"{rate} RPS"
            taken[case] = take_turns(bench, [direct(bench), *running], amount, turns=turns, case=case)
    return section(taken, calls)


def at_rate(rate: float, calls: int) -> Amount:
    """A round of at least *calls* at *rate*, and long enough for the clocks of CPU time."""
    return Amount(CONNECTIONS, max(_LEAST_S, calls / rate), rps=rate)


def add_latencies(figures: Figures, case: str, taken: Turns) -> None:
    """What each contender adds to the upstream alone, the first of *taken*."""
    upstream, *names = taken.rounds
    alone = taken.rounds[upstream]
    for name in names:
        rounds = taken.rounds[name]
        takes = {
            "p50": lambda one: one.latency.p50_ms,
            "p95": lambda one: one.latency.p95_ms,
            "p99": lambda one: one.latency.p99_ms,
        }
        for which, take in takes.items():
            added = less_per_turn(rounds, alone, take)
            figures.add(case, name, f"added_{which}_ms", added)
            reference = taken.rounds.get(_REFERENCE)
            if reference and f"added_{which}_ratio" in KINDS:
                # To the reference's median: the difference of one turn can be next to nothing.
                divisor = median(less_per_turn(reference, alone, take))
                if divisor > 0:
                    figures.add(case, name, f"added_{which}_ratio", [value / divisor for value in added])
        figures.add(case, name, "worker_cpu_us", per_turn(rounds, lambda one: one.worker_cpu_us))
        figures.add(case, name, "total_cpu_us", per_turn(rounds, lambda one: one.total_cpu_us))


def has_kept_up(one: Round) -> bool:
    """Whether the calls that were due were answered."""
    return one.requests >= _KEPT_UP_RATIO * (one.requests + one.unanswered) and one.latency.p50_ms < 1000


def latency_doubts(taken: Turns) -> list[str]:
    """Why a figure at a fixed rate may not show the contender."""
    upstream, *names = taken.rounds
    doubts = []
    lags = [one.lag.p99_ms for one in taken.rounds[upstream] if one.lag]
    if lags and median(lags) > _LAG_MS:
        doubts.append(f"the generator was up to {median(lags):.1f} ms late (p99), in all rows alike")
    is_late = bool(doubts)
    for name in names:
        doubts += rate_doubts(name, taken.rounds[name], is_late_for_all=is_late)
    return doubts


def rate_doubts(name: str, rounds: Sequence[Round], *, is_late_for_all: bool = False) -> list[str]:
    """The same of one contender, whose rounds may differ from those of the upstream alone."""
    doubts = []
    lags = [one.lag.p99_ms for one in rounds if one.lag]
    if lags and median(lags) > _LAG_MS and not is_late_for_all:
        doubts.append(f"{name}: the generator was up to {median(lags):.1f} ms late (p99)")
    unanswered = sum(one.unanswered for one in rounds)
    if not all(has_kept_up(one) for one in rounds):
        doubts.append(f"{name} cannot keep up with this rate: its latency is that of a growing queue")
    elif unanswered:
        due = unanswered + sum(one.requests for one in rounds)
        doubts.append(
            f"{name}: {unanswered:,} of {due:,} calls had no answer {PATIENCE_S:g} s after the last"
        )
    doubts += [f"{name}: {doubt}" for doubt in neighbour_doubts(rounds)]
    return doubts


def section(taken: dict[str, Turns], calls: int) -> Section:
    """The part of the report that shows this scenario."""
    figures = Figures()
    rows, doubts, alone = [], [], []
    for case, turns in taken.items():
        add_latencies(figures, case, turns)
        rows += [
            (case, name, *(figures.text(case, name, shown) for shown in _SHOWN))
            for name in figures.contenders(case)
        ]
        doubts += [f"{case}: {doubt}" for doubt in latency_doubts(turns)]
        alone.append(f"{case} {_describe_alone(next(iter(turns.rounds.values())))}")
    count = len(next(iter(next(iter(taken.values())).rounds.values())))
    facts = (
        f"Turns taken: {count}; {calls:,} calls a round or more; latency from when a call was due. "
        f"The upstream alone: {'; '.join(alone)}."
    )
    return Section(
        "open-loop",
        "Latency at a fixed rate",
        table(("", "", *(KINDS[shown].label for shown in _SHOWN)), rows, left=2),
        facts,
        figures=tuple(figures),
        doubts=tuple(doubts),
        failed=tuple(line for case, turns in taken.items() for line in turns.failures(case)),
        charts={"open-loop": latency_chart(figures, "What a gateway adds to an answer's time")},
        data={"rounds": rounds_of(taken)},
    )


def rounds_of(taken: dict[str, Turns]) -> dict[str, Any]:
    """Every round, for programs."""
    return {
        case: {name: [asdict(one) for one in rounds] for name, rounds in turns.rounds.items()}
        for case, turns in taken.items()
    }


def latency_chart(figures: Figures, title: str) -> str:
    """Added latency by rate and contender."""

    def bar(case: str, name: str) -> Bar:
        p50, p95, p99 = (figures.median(case, name, f"added_{which}_ms") for which in ("p50", "p95", "p99"))
        return Bar(
            name,
            (Part(p50), Part(p95 - max(0.0, p50), shade=1), Part(p99 - max(0.0, p95), shade=2)),
            f"{p50:.2f} / {p95:.2f} / {p99:.2f}",
        )

    groups = [
        Group(case, tuple(bar(case, name) for name in figures.contenders(case))) for case in figures.cases()
    ]
    subtitle = "Milliseconds more than the upstream alone: p50 / p95 / p99; shorter is better"
    return bar_chart(title, subtitle, groups, ("p50", "to p95", "to p99"))


def _describe_alone(rounds: Sequence[Round]) -> str:
    p50 = median(one.latency.p50_ms for one in rounds)
    p99 = median(one.latency.p99_ms for one in rounds)
    lag = median(one.lag.p99_ms for one in rounds if one.lag)
    return f"p50 {p50:.2f}, p99 {p99:.2f} ms (generator late by {lag:.2f} ms at p99)"
