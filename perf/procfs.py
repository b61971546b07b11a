"""What the kernel knows of processes and processors, from /proc.

The `parse_*` functions are pure. CPU time has the resolution of a clock tick (10 ms), so a stretch to
measure should last a second or more.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One process at one moment.

    Attributes:
        started_ticks: Since boot. With the pid it names a process for good: pids are used again.
        cpu_s: User and system time of all its threads.
        ended_cpu_s: The same of children that have ended and been waited for, and of theirs.
    """

    pid: int
    parent_pid: int
    started_ticks: int
    cpu_s: float
    rss_bytes: int
    ended_cpu_s: float = 0.0


def parse_stat(text: str, *, ticks_per_s: int = _TICKS_PER_S, page_bytes: int = _PAGE_BYTES) -> ProcessStat:
    """Read the content of `/proc/<pid>/stat` (proc_pid_stat(5))."""
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return ProcessStat(
        pid=int(head.split(" ", 1)[0]),
        parent_pid=int(fields[1]),
        started_ticks=int(fields[19]),
        cpu_s=(int(fields[11]) + int(fields[12])) / ticks_per_s,
        rss_bytes=int(fields[21]) * page_bytes,
        ended_cpu_s=(int(fields[13]) + int(fields[14])) / ticks_per_s,
    )


def parse_core_busy_s(text: str, core: int, *, ticks_per_s: int = _TICKS_PER_S) -> float:
    """The time that *core* has not been idle since boot, from the content of `/proc/stat`.

    Time stolen by the hypervisor counts as busy: nobody here could use it.

    Raises:
        LookupError: There is no such core.
    """
    for line in text.splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(value) for value in ticks[:8])
            return (user + nice + system + irq + softirq + steal) / ticks_per_s
    raise LookupError(f"/proc/stat has no cpu{core}")


def descendants(root_pid: int, stats: dict[int, ProcessStat]) -> tuple[ProcessStat, ...]:
    """*root_pid* and every process below it, parents first."""
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent_pid, []).append(stat.pid)
    found: list[ProcessStat] = []
    waiting = [root_pid]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            found.append(stats[pid])
            waiting.extend(sorted(children.get(pid, ()), reverse=True))
    return tuple(found)


def read_tree(root_pid: int) -> tuple[ProcessStat, ...]:
    """The process *root_pid* and all below it, now; empty when it is gone."""
    stats: dict[int, ProcessStat] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                stat = parse_stat((folder / "stat").read_text(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we were looking
            stats[stat.pid] = stat
    return descendants(root_pid, stats)


def read_thread_cpu_s(pid: int) -> dict[int, float]:
    """The CPU time of each thread of a process, by the kernel's thread id; empty when it is gone."""
    found: dict[int, float] = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for folder in (_PROC / str(pid) / "task").iterdir():
            found[int(folder.name)] = parse_stat((folder / "stat").read_text(errors="replace")).cpu_s
    return found


def read_command(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def read_core_busy_s(core: int) -> float:
    """The time that *core* has not been idle since boot."""
    return parse_core_busy_s((_PROC / "stat").read_text(), core)
