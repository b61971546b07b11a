"""Rounds of several contenders in turn.

Taking turns lets what changes on the machine meanwhile hit all of them; a ratio is taken inside a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perf.bench import Bench
from perf.contenders import Contender
from perf.load import Amount
from perf.payloads import SMALL_CHAT, Ask
from perf.process import ProgramError
from perf.rounds import Round, RoundFailedError, run_round


@dataclass(frozen=True, slots=True)
class Turns:
    """What turns gave.

    Attributes:
        rounds: By contender, the reference first; the n-th rounds of all were made in one turn.
        failed: By contender that did not do its job, and has no rounds here: why.
    """

    rounds: Mapping[str, tuple[Round, ...]]
    failed: Mapping[str, str] = field(default_factory=dict)

    def failures(self, case: str = "") -> tuple[str, ...]:
        """A line for each contender that failed."""
        under = f"{case}: " if case else ""
        return tuple(f"{under}{reason}" for reason in self.failed.values())


def take_turns(
    bench: Bench,
    contenders: Sequence[Contender],
    amount: Amount,
    *,
    turns: int,
    ask: Ask = SMALL_CHAT,
    case: str = "",
) -> Turns:
    """Measure each of *contenders* once per turn, the reference first; one that fails takes no further turn.

    Raises:
        RoundFailedError: The reference did not do its job, so there is nothing to compare with.
        ProgramError: A program of the run failed.
    """
    rounds: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    failed: dict[str, str] = {}
    for turn in range(1, turns + 1):
        for contender in contenders:
            if contender.name in failed:
                continue
            try:
                measured = run_round(bench, contender, amount, ask)
            except (RoundFailedError, ProgramError) as error:
                if contender is contenders[0]:
                    raise
                failed[contender.name] = reason(contender.name, error)
                bench.say(f"FAILED {failed[contender.name]}")
                continue
            rounds[contender.name].append(measured)
            bench.say(f"{case or ask.name} {turn}/{turns} {contender.name}: {describe(measured)}")
    good = {name: tuple(measured) for name, measured in rounds.items() if name not in failed}
    return Turns(good, failed)


def reason(name: str, error: Exception) -> str:
    """Why *name* failed: a tool that could not reach it does not know whom it was to measure."""
    return str(error) if str(error).startswith(name) else f"{name}: {error}"


def describe(measured: Round) -> str:
    """One round in a line."""
    cost = f"CPU per request {measured.worker_cpu_us:.0f} us worker, {measured.total_cpu_us:.0f} us total"
    latency = f"p50 {measured.latency.p50_ms:.2f}, p99 {measured.latency.p99_ms:.2f} ms"
    if measured.streams is None:
        return f"{measured.rps:,.0f} RPS, {latency}, {cost}"
    first, gap = measured.streams.first_token, measured.streams.gap
    return (
        f"first token p50 {first.p50_ms:.2f}, p99 {first.p99_ms:.2f} ms, gap p99 {gap.p99_ms:.1f} ms, "
        f"CPU per event {measured.event_cpu_us:.1f} us"
    )
