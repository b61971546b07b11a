"""Reading the clocks of a round: who has used how much CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from perf.procfs import ProcessStat

Processes = tuple[ProcessStat, ...]

# What a contender puts off until after the answer (spans, storing) belongs to the request. It is quiet when
# it used at most one clock tick in this time; one that never is has its time counted up to the bound.
_QUIET_S: Final = 0.3
_QUIET_CPU_S: Final = 0.011
_QUIET_BOUND_S: Final = 6.0


@dataclass(frozen=True, slots=True)
class Reading:
    """All clocks of a round at one moment.

    Attributes:
        contender: The contender's processes.
        tools_s: CPU time of load generator and upstream together.
        core_s: Time that the contender's core was busy with whatever; 0.0 when nothing is pinned.
        at_s: When it was read, by a clock that only goes forward.
    """

    contender: Processes
    tools_s: float
    core_s: float
    at_s: float


def cpu_s(processes: Iterable[ProcessStat]) -> float:
    """Their CPU time together, with that of helpers which came and went: a round has those of it alone.

    A process that was there before, or is there afterwards, cannot be among them (`identities`).
    """
    return sum(process.cpu_s + process.ended_cpu_s for process in processes)


def rss_bytes(processes: Iterable[ProcessStat]) -> int:
    """Their resident memory together; pages that they share count for each."""
    return sum(process.rss_bytes for process in processes)


def only(processes: Processes, pids: frozenset[int]) -> Processes:
    """Those of *processes* that are among *pids*."""
    return tuple(process for process in processes if process.pid in pids)


def identities(processes: Iterable[ProcessStat]) -> frozenset[tuple[int, int]]:
    """What tells whether these are still the same processes."""
    return frozenset((process.pid, process.started_ticks) for process in processes)


def wait_until_quiet(
    read: Callable[[], Processes],
    *,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Processes:
    """Return what *read* gives once the processes have stopped working, or after a few seconds."""
    deadline_s = now_s() + _QUIET_BOUND_S
    last = read()
    while now_s() < deadline_s:
        sleep(_QUIET_S)
        current = read()
        if cpu_s(current) - cpu_s(last) <= _QUIET_CPU_S:
            return current
        last = current
    return last
