"""One round: load on one contender, and what the operating system says it cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from perf.bench import Bench
from perf.contenders import Contender, direct
from perf.latency import Latency
from perf.load import Amount, LoadResult, StreamFigures
from perf.payloads import SMALL_CHAT, Ask
from perf.procfs import read_core_busy_s, read_tree
from perf.readings import Processes, Reading, cpu_s, identities, only, rss_bytes, wait_until_quiet
from perf.tools import HeldLoad, held_load

_SATURATED_RATIO: Final = 0.9
# Others on the contender's core: up to here it is the kernel's network work, more is a neighbour.
_FOREIGN_RATIO: Final = 0.1


class RoundFailedError(RuntimeError):
    """The contender did not do its job, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round measured.

    Attributes:
        worker_cpu_us: CPU time per request of the processes that serve, with what they did afterwards.
        total_cpu_us: The same of all the contender's processes.
        deferred_cpu_us: The part of `total_cpu_us` that came after the last answer.
        worker_rss_bytes: Resident memory after the round, as `total_rss_bytes`.
        busy_ratio: The contender's CPU time over elapsed time.
        tools_ratio: The same of load generator and upstream together.
        foreign_ratio: The same of everybody else on the contender's core.
        unanswered: As of `LoadResult`, with `lag` and `streams`.
    """

    requests: int
    rps: float
    latency: Latency
    worker_cpu_us: float
    total_cpu_us: float
    deferred_cpu_us: float
    worker_rss_bytes: int
    total_rss_bytes: int
    busy_ratio: float
    tools_ratio: float
    foreign_ratio: float
    unanswered: int = 0
    lag: Latency | None = None
    streams: StreamFigures | None = None

    @property
    def event_cpu_us(self) -> float:
        """CPU time of all the contender's processes per event of a stream; 0.0 without streams."""
        return self._per_event(self.total_cpu_us)

    @property
    def worker_event_cpu_us(self) -> float:
        """The same of the processes that serve."""
        return self._per_event(self.worker_cpu_us)

    def _per_event(self, per_request_us: float) -> float:
        return per_request_us * self.requests / self.streams.events if self.streams else 0.0


def calibrate(bench: Bench, amount: Amount) -> Round:
    """Load straight on the upstream: the most that the tools can do on their core.

    Raises:
        RoundFailedError: A call failed.
        ProgramError: A tool failed.
    """
    return run_round(bench, direct(bench), amount)


def run_round(bench: Bench, contender: Contender, amount: Amount, ask: Ask = SMALL_CHAT) -> Round:
    """Put *amount* of load on *contender* and measure it.

    Raises:
        RoundFailedError: A call failed, the upstream did not see every call, or a process came or went.
        ProgramError: A program of the run failed.
    """
    with held_load(
        contender.url,
        model=contender.model,
        token=contender.token,
        amount=amount,
        ask=replace(ask, dialect=contender.dialect),
        headers=contender.headers,
        accept=contender.accept,
        core=bench.cores.tools,
        folder=bench.folder,
    ) as load:
        workers = contender.worker_pids()
        wait_until_quiet(contender.processes)  # the warm-up's deferred work is not ours to count
        served_before = bench.upstream.read_served()
        before = _read(bench, contender, load)
        result = load.release()
        after = _read(bench, contender, load)
        settled = wait_until_quiet(contender.processes)
        served = bench.upstream.read_served() - served_before
    check_calls(contender.name, result, served)
    if not workers or identities(before.contender) != identities(settled):
        raise RoundFailedError(f"{contender.name}: a process ended or started during the round")
    return cost_of(result, workers, before, after, settled)


def cost_of(
    result: LoadResult, workers: frozenset[int], before: Reading, after: Reading, settled: Processes
) -> Round:
    """Turn the clocks of a round into figures per request."""
    start_s = cpu_s(before.contender)
    used_s, total_s = cpu_s(after.contender) - start_s, cpu_s(settled) - start_s
    worker_s = cpu_s(only(settled, workers)) - cpu_s(only(before.contender, workers))
    per_request_us = 1e6 / result.completed
    return Round(
        requests=result.completed,
        rps=result.rps,
        latency=result.latency,
        worker_cpu_us=worker_s * per_request_us,
        total_cpu_us=total_s * per_request_us,
        deferred_cpu_us=(total_s - used_s) * per_request_us,
        worker_rss_bytes=rss_bytes(only(settled, workers)),
        total_rss_bytes=rss_bytes(settled),
        busy_ratio=used_s / result.elapsed_s,
        tools_ratio=(after.tools_s - before.tools_s) / result.elapsed_s,
        # The clocks of processes and core tick apart, so the difference may fall a little below nothing.
        # And they are read a little before and after the load, which matters to a core that others keep busy.
        foreign_ratio=max(0.0, after.core_s - before.core_s - used_s) / (after.at_s - before.at_s),
        unanswered=result.unanswered,
        lag=result.lag,
        streams=result.streams,
    )


def saturation_doubts(measured: Round) -> tuple[str, ...]:
    """Why a saturation round on a core of its own may not show what the contender can do."""
    doubts: list[str] = []
    if measured.tools_ratio > _SATURATED_RATIO:
        doubts.append(
            f"load generator and upstream were the bottleneck ({measured.tools_ratio:.0%} of their core)"
        )
    elif measured.busy_ratio + measured.foreign_ratio < _SATURATED_RATIO:
        doubts.append(f"the core was not saturated ({measured.busy_ratio:.0%})")
    return tuple(doubts)


def tools_doubts(rounds: Sequence[Round]) -> tuple[str, ...]:
    """Whether the tools had all that their core can do, in one line for all turns."""
    shares = [one.tools_ratio for one in rounds if one.tools_ratio > _SATURATED_RATIO]
    if not shares:
        return ()
    doubt = (
        f"load generator and upstream were the bottleneck (up to {max(shares):.0%} of their core), in "
        f"{len(shares)} of {len(rounds)} turns: what it does in a second and its times are theirs, its CPU "
        "holds"
    )
    return (doubt,)


def neighbour_doubts(rounds: Sequence[Round]) -> tuple[str, ...]:
    """Whether somebody else used the contender's core, in one line for all turns."""
    shares = [one.foreign_ratio for one in rounds if one.foreign_ratio > _FOREIGN_RATIO]
    if not shares:
        return ()
    return (f"others used up to {max(shares):.0%} of the core, in {len(shares)} of {len(rounds)} turns",)


def _read(bench: Bench, contender: Contender, load: HeldLoad) -> Reading:
    tools = (*read_tree(load.program.pid), *read_tree(bench.upstream.program.pid))
    core = bench.cores.contender
    core_s = 0.0 if core is None else read_core_busy_s(core)
    return Reading(contender.processes(), cpu_s(tools), core_s, time.monotonic())


def check_calls(name: str, result: LoadResult, served: int) -> None:
    """Refuse a round whose figures would mean nothing.

    Args:
        served: What the upstream answered meanwhile.

    Raises:
        RoundFailedError: A call failed, or the upstream did not see every call. Of streams some may break
            off: what they lost is a figure of its own. One with all its events and other bytes may not.
    """
    failures = sum(result.failures.values())
    is_told = result.streams is not None and result.streams.lost_events > 0
    if not result.completed or (failures and not is_told):
        reasons = "; ".join(f"{count} x {reason}" for reason, count in result.failures.items())
        raise RoundFailedError(f"{name}: calls failed: {reasons or 'no answer at all'}")
    if served != result.completed and not failures and not result.unanswered:
        raise RoundFailedError(
            f"{name}: {result.completed} answers, but {served} served by the upstream: it caches or repeats"
        )
