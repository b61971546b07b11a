"""Scenario 1: how much does a small chat call cost when one core has all it can do?

Non-stream, 553 bytes in, 1.1 KB out, keep-alive, a closed loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

from perf.contenders import Contender
from perf.load import Amount, LoadResult
from perf.report import Section, table
from perf.rounds import Bench, Round, calibrate, saturation_doubts
from perf.turns import Turns, median_of, median_ratio, take_turns

# Below this multiple of the fastest contender the tools' own limit would shape what is measured.
_ROOM_RATIO: Final = 2.0
_MB: Final = 1_000_000


def run(
    bench: Bench,
    contenders: Sequence[Contender],
    amount: Amount,
    *,
    turns: int,
    say: Callable[[str], None],
) -> Section:
    """Measure *contenders*, the reference first.

    Raises:
        RoundFailedError: A contender did not do its job.
        ProgramError: A program of the run failed.
    """
    direct = calibrate(bench, amount)
    say(f"tools alone: {direct.rps:,.0f} RPS")
    rounds = take_turns(bench, contenders, amount, turns=turns, say=say)
    # Where nothing is pinned, how busy "the" core was says nothing.
    doubts = find_doubts(direct, rounds) if bench.cores.contender is not None else ()
    return section(amount, direct, rounds, doubts)


def find_doubts(direct: LoadResult, rounds: Turns) -> tuple[str, ...]:
    """What a reader must know before trusting a figure of a pinned run."""
    doubts = [
        f"{name}, turn {turn}: {doubt}"
        for name, measured in rounds.items()
        for turn, one in enumerate(measured, 1)
        for doubt in saturation_doubts(one)
    ]
    fastest = max(median_of(measured, lambda one: one.rps) for measured in rounds.values())
    if direct.rps < _ROOM_RATIO * fastest:
        doubts.append(f"the tools alone reach only {direct.rps:,.0f} RPS, too near to the fastest contender")
    return tuple(doubts)


def figures_of(rounds: Sequence[Round], reference: Sequence[Round]) -> dict[str, float]:
    """The figures that count: medians, and ratios to all processes of the reference."""
    return {
        "worker_cpu_us": median_of(rounds, lambda one: one.worker_cpu_us),
        "total_cpu_us": median_of(rounds, lambda one: one.total_cpu_us),
        "deferred_cpu_us": median_of(rounds, lambda one: one.deferred_cpu_us),
        "worker_cpu_ratio": median_ratio(
            rounds, reference, lambda one: one.worker_cpu_us, lambda one: one.total_cpu_us
        ),
        "total_cpu_ratio": median_ratio(
            rounds, reference, lambda one: one.total_cpu_us, lambda one: one.total_cpu_us
        ),
        "rps": median_of(rounds, lambda one: one.rps),
        "rps_ratio": median_ratio(rounds, reference, lambda one: one.rps, lambda one: one.rps),
        "p50_ms": median_of(rounds, lambda one: one.latency.p50_ms),
        "p95_ms": median_of(rounds, lambda one: one.latency.p95_ms),
        "p99_ms": median_of(rounds, lambda one: one.latency.p99_ms),
        "worker_rss_mb": median_of(rounds, lambda one: one.worker_rss_bytes) / _MB,
        "total_rss_mb": median_of(rounds, lambda one: one.total_rss_bytes) / _MB,
    }


def section(amount: Amount, direct: LoadResult, rounds: Turns, doubts: tuple[str, ...]) -> Section:
    """The part of the report that shows this scenario."""
    reference, reference_rounds = next(iter(rounds.items()))
    summary = {name: figures_of(measured, reference_rounds) for name, measured in rounds.items()}
    head = (
        *("", "CPU/request worker", "total", f"worker / {reference}", f"total / {reference}"),
        *("RPS", f"RPS / {reference}", "p50 ms", "p95 ms", "p99 ms", "RSS worker MB", "total MB"),
    )
    rows = [
        (
            name,
            *(f"{figures['worker_cpu_us']:.0f} us", f"{figures['total_cpu_us']:.0f} us"),
            *(f"{figures['worker_cpu_ratio']:.2f}", f"{figures['total_cpu_ratio']:.2f}"),
            *(f"{figures['rps']:,.0f}", f"{figures['rps_ratio']:.2f}"),
            *(f"{figures[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
            *(f"{figures['worker_rss_mb']:.0f}", f"{figures['total_rss_mb']:.0f}"),
        )
        for name, figures in summary.items()
    ]
    turns = len(reference_rounds)
    facts = (
        f"{amount.connections} connections; turns taken: {turns}; {amount.seconds or 0:g} s a round. "
        f"The tools alone: {direct.rps:,.0f} RPS, p50 {direct.latency.p50_ms:.2f} ms, "
        f"p99 {direct.latency.p99_ms:.2f} ms."
    )
    data = {
        "amount": asdict(amount),
        "direct": {"rps": direct.rps, **asdict(direct.latency)},
        "summary": summary,
        "rounds": {name: [asdict(one) for one in measured] for name, measured in rounds.items()},
    }
    return Section("saturation", "Saturation, small chat call", table(head, rows), facts, data, doubts)
