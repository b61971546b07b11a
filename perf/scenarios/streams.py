"""Scenario 3: what does a streamed answer of 100 chunks cost, and does it stay smooth?

Unpaced, as fast as one core relays; and paced at 20 ms, as models write, with many streams at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import DIRECT, direct, started_all
from perf.figures import KINDS, Figures, less_per_turn, per_turn, ratio_per_turn
from perf.load import Amount, StreamFigures
from perf.payloads import STREAM_CHUNKS, Ask
from perf.report import Section, table
from perf.rounds import Round, neighbour_doubts, tools_doubts
from perf.scenarios.open_loop import rounds_of
from perf.turns import Turns, take_turns

PACE_MS: Final = 20
UNPACED: Final = "unpaced"
_UNPACED_CONNECTIONS: Final = 32
_REFERENCE: Final = "bare stack"
_CONTENDERS: Final = ("bare-stack", "gateway")
_SHOWN: Final = (
    *("worker_event_cpu_us", "total_event_cpu_us", "event_cpu_ratio", "events_per_s"),
    *("added_first_token_p50_ms", "added_first_token_p99_ms", "added_first_token_p99_ratio"),
    *("gap_p99_ms", "stalls", "lost"),
)


def run(
    bench: Bench,
    *,
    at_once: Sequence[int],
    turns: int,
    seconds: float,
    has_unpaced: bool = True,
) -> Section:
    """Measure the gateway, the bare stack and the upstream alone.

    Args:
        at_once: Numbers of paced streams at the same time.

    Raises:
        RoundFailedError: The upstream did not do its job.
        ProgramError: A program of the run failed.
    """
    cases = {f"{count} at once": (count, Ask(is_stream=True, pace_ms=PACE_MS)) for count in at_once}
    if has_unpaced:
        cases = {UNPACED: (_UNPACED_CONNECTIONS, Ask(is_stream=True)), **cases}
    taken: dict[str, Turns] = {}
    with started_all(bench, _CONTENDERS) as running:
        for case, (connections, ask) in cases.items():
            amount = Amount(connections, seconds)
            taken[case] = take_turns(
                bench, [direct(bench), *running], amount, ask=ask, turns=turns, case=f"streams, {case}"
            )
    return section(taken, seconds)


def figures_of(taken: dict[str, Turns]) -> Figures:
    """Every contender beside the upstream alone and the reference."""
    figures = Figures()
    for case, turns in taken.items():
        upstream, *names = turns.rounds
        alone, reference = turns.rounds[upstream], turns.rounds.get(_REFERENCE, ())
        _add_smoothness(figures, case, upstream, alone)
        for name in names:
            rounds = turns.rounds[name]
            _add_smoothness(figures, case, name, rounds)
            figures.add(
                case, name, "worker_event_cpu_us", per_turn(rounds, lambda one: one.worker_event_cpu_us)
            )
            figures.add(case, name, "total_event_cpu_us", per_turn(rounds, lambda one: one.event_cpu_us))
            p50 = less_per_turn(rounds, alone, lambda one: _seen(one).first_token.p50_ms)
            p99 = less_per_turn(rounds, alone, lambda one: _seen(one).first_token.p99_ms)
            figures.add(case, name, "added_first_token_p50_ms", p50)
            figures.add(case, name, "added_first_token_p99_ms", p99)
            if not reference:
                continue
            ratios = ratio_per_turn(
                rounds, reference, lambda one: one.event_cpu_us, lambda one: one.event_cpu_us
            )
            figures.add_any(case, name, "event_cpu_ratio", ratios)
            # To the reference's median: the difference of one turn can be next to nothing.
            divisor = median(less_per_turn(reference, alone, lambda one: _seen(one).first_token.p99_ms))
            if divisor > 0:
                figures.add(case, name, "added_first_token_p99_ratio", [value / divisor for value in p99])
    return figures


def _add_smoothness(figures: Figures, case: str, name: str, rounds: Sequence[Round]) -> None:
    figures.add(
        case, name, "events_per_s", per_turn(rounds, lambda one: one.rps * _seen(one).events / one.requests)
    )
    figures.add(case, name, "gap_p99_ms", per_turn(rounds, lambda one: _seen(one).gap.p99_ms))
    # In all turns: a stall that one turn in five has is one that users see.
    figures.add(case, name, "stalls", [sum(_seen(one).stalls for one in rounds)])
    figures.add(case, name, "lost", [sum(_seen(one).lost_events for one in rounds)])


def _seen(one: Round) -> StreamFigures:
    assert one.streams is not None  # noqa: S101  streams were asked for
    return one.streams


def section(taken: dict[str, Turns], seconds: float) -> Section:
    """The part of the report that shows this scenario."""
    figures = figures_of(taken)
    rows = [
        (case, name, *(figures.text(case, name, shown) for shown in _SHOWN))
        for case in figures.cases()
        for name in figures.contenders(case)
    ]
    doubts = [
        f"{case}: {name}: {doubt}"
        for case, turns in taken.items()
        for name, rounds in list(turns.rounds.items())[1:]
        for doubt in (*tools_doubts(rounds), *neighbour_doubts(rounds))
    ]
    count = len(next(iter(next(iter(taken.values())).rounds.values())))
    facts = (
        f"Streams of {STREAM_CHUNKS} chunks, usage and the end mark; paced ones {PACE_MS} ms apart, begun "
        f"spread out; unpaced ones over {_UNPACED_CONNECTIONS} connections. Turns taken: {count}; "
        f"{seconds:g} s a round. "
        "A stall is a gap of more than 100 ms; stalls and lost events are those of all turns."
        f"{_describe_open(taken, figures)}"
    )
    return Section(
        "streams",
        "Streams",
        table(("", "", *(KINDS[shown].label for shown in _SHOWN)), rows, left=2),
        facts,
        figures=tuple(figures),
        doubts=tuple(doubts),
        failed=(*(line for case, turns in taken.items() for line in turns.failures(case)), *_losses(figures)),
        charts={"streams": _cost_chart(figures), "first-token": _first_token_chart(figures)},
        data={"rounds": rounds_of(taken)},
    )


def _describe_open(taken: dict[str, Turns], figures: Figures) -> str:
    """How many streams were open: fewer than at once while they begin and end; "" of unpaced ones."""
    means = [
        f"{figures.median(case, next(iter(turns.rounds)), 'events_per_s') * PACE_MS / 1000:,.0f} of {case}"
        for case, turns in taken.items()
        if case != UNPACED
    ]
    if not means:
        return ""
    return f" All of a round are open only in its middle; on average {', '.join(means)} were."


def _losses(figures: Figures) -> Iterator[str]:
    """A line for each contender that broke a stream."""
    for one in figures:
        if one.name == "lost" and one.median:
            yield f"{one.case}: {one.contender}: {one.text} events were lost"


def _cost_chart(figures: Figures) -> str:
    def bar(case: str, name: str) -> Bar:
        worker, total = (figures.median(case, name, f"{part}_event_cpu_us") for part in ("worker", "total"))
        ratio = figures.text(case, name, "event_cpu_ratio")
        return Bar(name, (Part(worker), Part(total - worker, shade=1)), f"{total:.1f} us ({ratio})")

    subtitle = (
        "CPU time per event, microseconds (total / bare stack), paced at 20 ms or not; shorter is better"
    )
    return bar_chart(
        "What a streamed answer costs", subtitle, _groups(figures, bar), ("serves", "control and the rest")
    )


def _first_token_chart(figures: Figures) -> str:
    def bar(case: str, name: str) -> Bar:
        p50, p99 = (figures.median(case, name, f"added_first_token_{which}_ms") for which in ("p50", "p99"))
        return Bar(name, (Part(p50), Part(p99 - max(0.0, p50), shade=1)), f"{p50:.2f} / {p99:.2f}")

    subtitle = (
        "Milliseconds more than the upstream alone, p50 / p99, streams paced at 20 ms; shorter is better"
    )
    groups = [group for group in _groups(figures, bar) if group.title != UNPACED]
    return bar_chart("Added time to the first token", subtitle, groups, ("p50", "to p99"))


def _groups(figures: Figures, bar: Callable[[str, str], Bar]) -> list[Group]:
    return [
        Group(case, tuple(bar(case, name) for name in figures.contenders(case) if name != DIRECT))
        for case in figures.cases()
    ]
