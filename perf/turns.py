"""Rounds of several contenders in turn, and the middle of what they gave.

Taking turns lets what changes on the machine meanwhile hit all of them; a ratio is taken inside a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from perf.contenders import Contender
from perf.load import Amount
from perf.rounds import Bench, Round, run_round

# By contender, the reference first; the n-th rounds of all were made in one turn.
Turns = Mapping[str, tuple[Round, ...]]


def take_turns(
    bench: Bench,
    contenders: Sequence[Contender],
    amount: Amount,
    *,
    turns: int,
    say: Callable[[str], None],
) -> Turns:
    """Measure each of *contenders* once per turn.

    Raises:
        RoundFailedError: A contender did not do its job.
        ProgramError: A program of the run failed.
    """
    rounds: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    for turn in range(1, turns + 1):
        for contender in contenders:
            measured = run_round(bench, contender, amount)
            rounds[contender.name].append(measured)
            say(
                f"turn {turn}/{turns} {contender.name}: {measured.rps:,.0f} RPS, CPU per request "
                f"{measured.worker_cpu_us:.0f} us worker, {measured.total_cpu_us:.0f} us total"
            )
    return {name: tuple(measured) for name, measured in rounds.items()}


def median_of(rounds: Sequence[Round], figure: Callable[[Round], float]) -> float:
    """The middle value of one *figure*."""
    return median(figure(measured) for measured in rounds)


def median_ratio(
    rounds: Sequence[Round],
    reference: Sequence[Round],
    figure: Callable[[Round], float],
    reference_figure: Callable[[Round], float],
) -> float:
    """The middle value of the turns' ratios, which a drift of the machine between turns does not touch."""
    pairs = zip(rounds, reference, strict=True)
    return median(figure(measured) / reference_figure(other) for measured, other in pairs)
