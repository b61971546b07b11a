"""Scenario 7: how many requests a second does one core take before its slowest answers become slow?

One RPS says little; what is asked is the best rate with p99 under a bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import Contender, started_all
from perf.figures import Figures
from perf.load import MAX_RPS, Amount
from perf.report import Section, table
from perf.rounds import Round, RoundFailedError, neighbour_doubts, run_round, tools_doubts
from perf.scenarios.open_loop import CONNECTIONS, has_kept_up

BOUNDS_MS: Final = (5, 10, 50)
# Shares of what the contender reaches at saturation.
SHARES: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)

# By rate.
Ladder = Mapping[int, Sequence[Round]]


def run(bench: Bench, *, turns: int, seconds: float) -> Section:
    """Measure the gateway and the bare stack, each at shares of its own capacity.

    Raises:
        RoundFailedError: A contender fails without much load.
        ProgramError: A program of the run failed.
    """
    ladders: dict[str, dict[int, list[Round]]] = {}
    with started_all(bench, ("bare-stack", "gateway")) as running:
        for one in running:
            capacity = run_round(bench, one, Amount(32, seconds)).rps
            ladders[one.name] = {rate: [] for rate in rates_of(capacity)}
        for step in range(len(SHARES)):
            for turn in range(1, turns + 1):
                for one in running:
                    rates = list(ladders[one.name])
                    if step >= len(rates):
                        continue
                    rate = rates[step]
                    measured = _try(bench, one, Amount(CONNECTIONS, seconds, rps=rate))
                    if measured:
                        ladders[one.name][rate].append(measured)
                        p99_ms = measured.latency.p99_ms
                        bench.say(f"frontier {turn}/{turns}, {rate:,} RPS {one.name}: p99 {p99_ms:.1f} ms")
    return section(ladders)


def rates_of(capacity: float) -> list[int]:
    """What to ask of a contender that does so many a second: within the generator's bound, none twice."""
    return sorted({min(max(1, round(share * capacity)), int(MAX_RPS)) for share in SHARES})


def _try(bench: Bench, contender: Contender, amount: Amount) -> Round | None:
    """A round, None when it fails: near its limit a contender may."""
    try:
        return run_round(bench, contender, amount)
    except RoundFailedError as error:
        bench.say(f"frontier, {amount.rps:,.0f} RPS: {error}")
        return None


def best_rps(ladder: Ladder, bound_ms: float) -> int:
    """The highest rate with a median p99 under *bound_ms*; 0 when there is none.

    A lower rate with a slower p99 does not count against it: at low rates a sleeping process has to wake up
    for every call. Beyond a rate that is not kept up with nothing counts, nor beyond one at which a turn
    failed: those that are left would be the lucky ones.
    """
    best = 0
    turns = max(map(len, ladder.values()), default=0)
    for rate, rounds in sorted(ladder.items()):
        if not rounds or len(rounds) < turns or not all(map(has_kept_up, rounds)):
            break
        if median(one.latency.p99_ms for one in rounds) <= bound_ms:
            best = rate
    return best


def section(ladders: Mapping[str, Ladder]) -> Section:
    """The part of the report that shows this scenario."""
    figures = Figures()
    for bound in BOUNDS_MS:
        for name, ladder in ladders.items():
            figures.add(f"p99 under {bound} ms", name, "rps", [best_rps(ladder, bound)])
    rows = [
        (name, *(figures.text(f"p99 under {bound} ms", name, "rps") for bound in BOUNDS_MS))
        for name in ladders
    ]
    return Section(
        "frontier",
        "Best rate under a bound",
        table(("best RPS with p99 under", *(f"{bound} ms" for bound in BOUNDS_MS)), rows),
        f"At {len(SHARES)} shares of each contender's own RPS at saturation, from {SHARES[0]:.0%}; whole "
        "latency, not what is added.",
        figures=tuple(figures),
        doubts=tuple(_doubts(ladders)),
        charts={"frontier": _chart(figures, list(ladders))},
        data={
            "ladders": {
                name: {str(rate): [asdict(one) for one in rounds] for rate, rounds in ladder.items()}
                for name, ladder in ladders.items()
            }
        },
    )


def _doubts(ladders: Mapping[str, Ladder]) -> Iterator[str]:
    for name, ladder in ladders.items():
        rounds = [one for taken in ladder.values() for one in taken]
        for doubt in (*tools_doubts(rounds), *neighbour_doubts(rounds)):
            yield f"{name}: {doubt}"
        if max(ladder) >= MAX_RPS:
            yield f"{name}: more than {MAX_RPS:,.0f} RPS are never asked, so its best rate may be higher"


def _chart(figures: Figures, names: Sequence[str]) -> str:
    groups = [
        Group(
            case,
            tuple(
                Bar(name, (Part(figures.median(case, name, "rps")),), figures.text(case, name, "rps"))
                for name in names
            ),
        )
        for case in figures.cases()
    ]
    subtitle = "Requests per second on one core with p99 under a bound; longer is better"
    return bar_chart("How far one core goes", subtitle, groups)
