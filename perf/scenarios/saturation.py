"""Scenario 1: how much does a small chat call cost when one core has all it can do?

Non-stream, 553 bytes in, 1.1 KB out, keep-alive, a closed loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import CONTENDERS, available, started_all
from perf.figures import KINDS, Figures, add_costs
from perf.ledger import ledger_doubts
from perf.load import Amount
from perf.report import Section, table
from perf.rounds import Round, calibrate, neighbour_doubts, saturation_doubts
from perf.turns import Turns, take_turns

# Below this multiple of a contender the tools' own limit shapes its RPS.
_ROOM_RATIO: Final = 2.0
_SHOWN: Final = (
    *("worker_cpu_us", "total_cpu_us", "worker_cpu_ratio", "total_cpu_ratio", "rps", "rps_ratio"),
    *("p50_ms", "p95_ms", "p99_ms", "worker_rss_mb", "total_rss_mb"),
)


def run(
    bench: Bench,
    *,
    turns: int,
    seconds: float,
    connections: int = 32,
    contenders: Sequence[str] = tuple(CONTENDERS),
) -> Section:
    """Measure *contenders*, the reference first.

    Raises:
        RoundFailedError: The reference did not do its job.
        ProgramError: A program of the run failed.
    """
    amount = Amount(connections, seconds)
    with started_all(bench, available(contenders)) as running:
        tools = calibrate(bench, amount)
        bench.say(f"tools alone: {tools.rps:,.0f} RPS")
        taken = take_turns(bench, running, amount, turns=turns, case="saturation")
        lost = tuple(doubt for contender in running for doubt in ledger_doubts(contender))
    # Where nothing is pinned, how busy "the" core was says nothing.
    doubts = find_doubts(tools, taken) if bench.cores.contender is not None else ()
    return section(amount, tools, taken, (*lost, *doubts))


def find_doubts(tools: Round, taken: Turns) -> tuple[str, ...]:
    """What a reader must know before trusting a figure of a pinned run."""
    doubts: list[str] = []
    for name, rounds in taken.rounds.items():
        doubts += [f"{name}: {doubt}" for doubt in neighbour_doubts(rounds)]
        if tools.rps < _ROOM_RATIO * max(one.rps for one in rounds):
            doubts.append(
                f"{name}: the tools alone reach {tools.rps:,.0f} RPS, too near to its own: its RPS is "
                "the least that it can do; its CPU per request holds"
            )
            continue
        doubts += [
            f"{name}, turn {turn}: {doubt}"
            for turn, one in enumerate(rounds, 1)
            for doubt in saturation_doubts(one)
        ]
    return tuple(doubts)


def figures_of(taken: Turns) -> Figures:
    """Every contender beside the first."""
    figures = Figures()
    reference = next(iter(taken.rounds.values()))
    for name, rounds in taken.rounds.items():
        add_costs(figures, "", name, rounds, reference)
    return figures


def section(amount: Amount, tools: Round, taken: Turns, doubts: tuple[str, ...]) -> Section:
    """The part of the report that shows this scenario."""
    figures = figures_of(taken)
    names = figures.contenders("")
    rows = [(name, *(figures.text("", name, shown) for shown in _SHOWN)) for name in names]
    turns = len(taken.rounds[names[0]])
    facts = (
        f"{amount.connections} connections; turns taken: {turns}; {amount.seconds or 0:g} s a round. "
        f"The tools alone: {tools.rps:,.0f} RPS, p50 {tools.latency.p50_ms:.2f} ms, "
        f"p99 {tools.latency.p99_ms:.2f} ms."
    )
    return Section(
        "saturation",
        "Saturation, small chat call",
        table(("", *(KINDS[shown].label for shown in _SHOWN)), rows),
        facts,
        figures=tuple(figures),
        doubts=doubts,
        failed=taken.failures(),
        charts={"saturation": _chart(figures, amount.connections)},
        data={
            "amount": asdict(amount),
            "tools": asdict(tools),
            "rounds": {name: [asdict(one) for one in rounds] for name, rounds in taken.rounds.items()},
        },
    )


def _chart(figures: Figures, connections: int) -> str:
    names = figures.contenders("")

    def cost(name: str) -> Bar:
        worker = figures.median("", name, "worker_cpu_us")
        total, ratio = figures.median("", name, "total_cpu_us"), figures.text("", name, "total_cpu_ratio")
        return Bar(name, (Part(worker), Part(total - worker, shade=1)), f"{total:.0f} us ({ratio})")

    def rps(name: str) -> Bar:
        return Bar(name, (Part(figures.median("", name, "rps")),), figures.text("", name, "rps"))

    groups = (
        Group(
            "CPU time per request, microseconds (total / bare stack): shorter is better",
            tuple(map(cost, names)),
        ),
        Group("Requests per second on one core: longer is better", tuple(map(rps, names))),
    )
    subtitle = (
        f"Small chat call, not streamed, {connections} connections, one core; keys, metadata and tracing on"
    )
    return bar_chart(
        "What a call costs when the core is full", subtitle, groups, ("serves", "control and the rest")
    )
