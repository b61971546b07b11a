"""perf/readings.py."""

from __future__ import annotations

from perf.procfs import ProcessStat
from perf.readings import Processes, cpu_s, identities, only, wait_until_quiet


def _used(cpu_s: float, *, pid: int = 1, started_ticks: int = 5) -> Processes:
    return (ProcessStat(pid, 0, started_ticks, cpu_s, 0),)


class Clock:
    """Moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_deferred_work_is_waited_for() -> None:
    """The reading is the first after which no more than a clock tick was used."""
    readings = [_used(1.0), _used(1.2), _used(1.3), _used(1.3)]
    clock = Clock()
    settled = wait_until_quiet(lambda: readings.pop(0), now_s=lambda: clock.now, sleep=clock.sleep)
    assert settled == _used(1.3)
    assert readings == []


def test_one_that_is_never_quiet_is_not_waited_for_forever() -> None:
    """A spinning process ends the wait at its bound."""
    clock = Clock()
    wait_until_quiet(lambda: _used(clock.now), now_s=lambda: clock.now, sleep=clock.sleep)
    assert 6.0 <= clock.now < 7.0


def test_helpers_that_came_and_went_are_counted() -> None:
    """Work that a child does and takes with it is the contender's all the same."""
    assert cpu_s((ProcessStat(1, 0, 5, 2.0, 0, ended_cpu_s=0.5), ProcessStat(2, 1, 5, 1.0, 0))) == 3.5


def test_a_new_process_with_an_old_pid_is_another_one() -> None:
    """Pids are used again, start times are not."""
    assert identities(_used(1.0, started_ticks=5)) != identities(_used(1.0, started_ticks=6))
    assert identities(_used(1.0)) == identities(_used(9.0))


def test_only_keeps_the_named_processes() -> None:
    """The worker's share is picked from the tree by pid."""
    both = _used(1.0, pid=1) + _used(2.0, pid=2)
    assert only(both, frozenset({2, 3})) == _used(2.0, pid=2)
