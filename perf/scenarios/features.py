"""Scenario 5: what does each feature cost, and all of them together?

A feature is a row of `FEATURES`, and joins in the commit that builds it. Keys are checked in every row,
because a gateway without them does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import (
    BUDGET,
    EXPORT,
    LIMITS,
    METADATA,
    PRICE,
    VIRTUAL_MODEL,
    VIRTUAL_NAME,
    Setup,
    direct,
    started_all,
)
from perf.figures import KINDS, Figures, add_costs, less_per_turn, per_turn
from perf.ledger import ledger_doubts
from perf.load import Amount
from perf.process import ProgramError, free_port
from perf.report import Section, table
from perf.rounds import Round, RoundFailedError, neighbour_doubts, run_round, tools_doubts
from perf.scenarios.open_loop import add_latencies, at_rate, latency_doubts, rounds_of
from perf.turns import Turns, reason, take_turns

OFF: Final = "tracing off"
ON: Final = "export proto"
LIMITED: Final = "10 rules and a budget"

_PROTO: Final = EXPORT.format(endpoint="{sink}", encoding="proto")
_JSON: Final = EXPORT.format(endpoint="{sink}", encoding="json")


def _settings(text: str) -> str:
    return f"type: gateway-global-settings\n{text}\n"


_UNTRACED: Final = _settings("telemetry_settings: {traces: false}")
FEATURES: Final = (
    Setup(OFF, (_UNTRACED,)),
    Setup("metadata", (_UNTRACED,), METADATA),
    Setup("price", (_UNTRACED,), price=PRICE),
    Setup("virtual model of 3", (_UNTRACED, VIRTUAL_MODEL), model=VIRTUAL_NAME),
    Setup("10 limit rules", (_UNTRACED, *LIMITS)),
    Setup("budget", (_UNTRACED, BUDGET), price=PRICE),
    Setup(LIMITED, (_UNTRACED, *LIMITS, BUDGET), price=PRICE),
    Setup("local store"),
    Setup(ON, (_PROTO,)),
    Setup("export json", (_JSON,)),
    Setup("content", (_PROTO, _settings("logging_settings: {type: always}"))),
    Setup(
        "all on",
        (
            _PROTO,
            _settings("logging_settings: {type: always}\ntelemetry_settings: {tfy_attributes: true}"),
            VIRTUAL_MODEL,
            *LIMITS,
            BUDGET,
        ),
        METADATA,
        PRICE,
        model=VIRTUAL_NAME,
    ),
)
_DOWN: Final = "endpoint down"
_DOWN_BLOCKS: Final = 4
_SHOWN: Final = (
    *("worker_cpu_us", "control_cpu_us", "total_cpu_us", "worker_cpu_ratio", "total_cpu_ratio"),
    *("less_off_us", "less_off_ratio", "rps", "worker_rss_mb", "total_rss_mb"),
)


def run(
    bench: Bench,
    *,
    turns: int,
    seconds: float,
    rates: Sequence[int] = (),
    calls: int = 1000,
    down_requests: int = 0,
    features: Sequence[Setup] = FEATURES,
) -> Section:
    """Measure the gateway with each of *features* beside the bare stack.

    Args:
        rates: At which the latency with tracing on and off is compared, too.
        calls: The least of a round at such a rate.
        down_requests: Of a block; some are sent while the endpoint is down, to see whether memory stays flat.

    Raises:
        RoundFailedError: The bare stack did not do its job.
        ProgramError: A program of the run failed.
    """
    with started_all(bench, ("bare-stack", *features)) as running:
        full = take_turns(bench, running, Amount(32, seconds), turns=turns, case="features")
        lost = [doubt for contender in running for doubt in ledger_doubts(contender)]
        compared = [contender for contender in running if contender.name in {OFF, ON}]
        paced = {
            f"{rate} RPS": take_turns(
                bench,
                [direct(bench), *compared],
                at_rate(rate, calls),
                turns=turns,
                case=f"tracing, {rate} RPS",
            )
            for rate in rates
        }
    down: tuple[Round, ...] = ()
    broken: tuple[str, ...] = ()
    try:
        down = _run_down(bench, down_requests) if down_requests else ()
    except (RoundFailedError, ProgramError) as error:
        # Its own failure: what the rows cost is measured by now.
        broken = (reason(_DOWN, error),)
        bench.say(f"FAILED {broken[0]}")
    return section(full, paced, down, lost, broken)


def _run_down(bench: Bench, requests: int) -> tuple[Round, ...]:
    """Load while the endpoint refuses connections."""
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces"
    setup = Setup(_DOWN, (EXPORT.format(endpoint=endpoint, encoding="proto"),))
    rounds = []
    with started_all(bench, (setup,)) as (contender,):
        for block in range(_DOWN_BLOCKS):
            rounds.append(run_round(bench, contender, Amount(32, requests=requests)))
            bench.say(
                f"{_DOWN} {block + 1}/{_DOWN_BLOCKS}: RSS {rounds[-1].worker_rss_bytes / 1e6:.1f} MB worker, "
                f"{rounds[-1].total_rss_bytes / 1e6:.1f} MB total"
            )
    return tuple(rounds)


def figures_of(full: Turns, paced: dict[str, Turns], down: Sequence[Round]) -> Figures:
    """Every row beside the bare stack, and beside tracing off."""
    figures = Figures()
    reference = next(iter(full.rounds.values()))
    off = full.rounds.get(OFF)
    for name, rounds in full.rounds.items():
        add_costs(figures, "", name, rounds, reference)
        figures.add(
            "", name, "control_cpu_us", per_turn(rounds, lambda one: one.total_cpu_us - one.worker_cpu_us)
        )
        if off and rounds is not reference:
            more_us = less_per_turn(rounds, off, lambda one: one.worker_cpu_us)
            bare_us = [one.total_cpu_us for one in reference]
            ratios = [us / bare for us, bare in zip(more_us, bare_us, strict=True) if bare > 0]
            figures.add("", name, "less_off_us", more_us)
            figures.add_any("", name, "less_off_ratio", ratios)
    for case, turns in paced.items():
        add_latencies(figures, case, turns)
    if down:
        # The first block warms caches and buffers up; from there on it should be flat.
        growth = (down[-1].worker_rss_bytes - down[0].worker_rss_bytes) / 1e6
        figures.add("", _DOWN, "rss_growth_mb", [growth])
        figures.add("", _DOWN, "worker_rss_mb", [down[-1].worker_rss_bytes / 1e6])
        figures.add("", _DOWN, "total_rss_mb", [down[-1].total_rss_bytes / 1e6])
    return figures


def section(
    full: Turns,
    paced: dict[str, Turns],
    down: Sequence[Round],
    lost: Sequence[str],
    broken: Sequence[str] = (),
) -> Section:
    """The part of the report that shows this scenario; *broken* is why there is nothing in *down*."""
    figures = figures_of(full, paced, down)
    rows = [(name, *(figures.text("", name, shown) for shown in _SHOWN)) for name in full.rounds]
    body = [table(("", *(KINDS[shown].label for shown in _SHOWN)), rows)]
    if paced:
        shown_at_rate = ("added_p50_ms", "added_p95_ms", "added_p99_ms", "total_cpu_us")
        rows = [
            (case, name, *(figures.text(case, name, shown) for shown in shown_at_rate))
            for case in paced
            for name in figures.contenders(case)
        ]
        body.append(table(("", "", *(KINDS[shown].label for shown in shown_at_rate)), rows, left=2))
    if down:
        requests = sum(one.requests for one in down[1:])
        grown, worker, total = (
            figures.text("", _DOWN, name) for name in ("rss_growth_mb", "worker_rss_mb", "total_rss_mb")
        )
        body.append(
            f"While the endpoint is down: {requests:,} calls change the worker's memory by {grown} MB; it "
            f"has {worker} MB then, all processes {total} MB."
        )
    doubts = [
        f"{name}: {doubt}"
        for name, rounds in full.rounds.items()
        for doubt in (*tools_doubts(rounds), *neighbour_doubts(rounds))
    ]
    doubts += [f"{case}: {doubt}" for case, turns in paced.items() for doubt in latency_doubts(turns)]
    count = len(next(iter(full.rounds.values())))
    return Section(
        "features",
        "Features, one by one",
        "\n\n".join(body),
        f"At saturation, 32 connections; turns taken: {count}. *{KINDS['less_off_us'].label}* is what the "
        "feature costs the process that serves, for a call, and then in units of the bare stack's whole CPU "
        "time.",
        figures=tuple(figures),
        doubts=(*lost, *doubts),
        failed=(
            *full.failures(),
            *(line for case, turns in paced.items() for line in turns.failures(case)),
            *broken,
        ),
        charts={"features": _chart(figures, list(full.rounds))},
        data={"rounds": rounds_of({"": full, **paced})},
    )


def _chart(figures: Figures, names: Sequence[str]) -> str:
    def bar(name: str) -> Bar:
        worker, total = (figures.median("", name, f"{part}_cpu_ratio") for part in ("worker", "total"))
        color = "" if name == names[0] else "#0969da"
        return Bar(name, (Part(worker), Part(total - worker, shade=1)), f"{worker:.2f} / {total:.2f}", color)

    groups = (Group("", tuple(map(bar, names))),)
    subtitle = "CPU time per request at saturation, bare stack = 1: worker / total; shorter is better"
    return bar_chart("What each feature costs", subtitle, groups, ("serves", "control and the rest"))
