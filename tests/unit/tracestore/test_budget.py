"""The store's share of the CPU."""

from __future__ import annotations

import pytest

from gateway.tracestore.budget import CpuBudget


class Machine:
    """A budget and the two clocks it is shown."""

    def __init__(self) -> None:
        self.budget = CpuBudget()
        self.wall_s = self.cpu_s = 0.0
        self.budget.note(wall_s=0.0, cpu_s=0.0)

    def use(self, *shares: float) -> float:
        """Let the thread use these shares of a core, a second each; the ratio after that."""
        for share in shares:
            self.wall_s += 1.0
            self.cpu_s += share
            self.budget.note(wall_s=self.wall_s, cpu_s=self.cpu_s)
        return self.budget.keep_ratio


def test_within_the_share_everything_is_kept() -> None:
    """A machine with room shows every trace."""
    assert Machine().use(0.1, 0.2, 0.25) == 1.0


def test_over_the_share_less_is_kept_in_proportion() -> None:
    """Twice too much work: half of the traces."""
    assert Machine().use(0.5) == 0.5


def test_a_ratio_settles_and_recovers() -> None:
    """It holds near the share, and comes back to everything when there is room."""
    machine = Machine()
    assert machine.use(0.5, 0.25, 0.22) == 0.5
    assert machine.use(0.05, 0.05, 0.0) == 1.0


def test_something_is_always_kept() -> None:
    """Even an overrun machine shows some traces."""
    assert Machine().use(*[1.0] * 50) == 0.01


def test_a_short_burst_is_not_judged() -> None:
    """What counts is a whole second, so that the first batch after a pause thins nothing."""
    budget = CpuBudget()
    budget.note(wall_s=0.0, cpu_s=0.0)
    budget.note(wall_s=0.5, cpu_s=0.5)
    assert budget.keep_ratio == 1.0


def test_the_share_is_that_of_all_threads() -> None:
    """What exports use is not there for the store; with them at rest it has all of it again."""
    budget = CpuBudget()
    budget.note(wall_s=0.0, cpu_s=0.0, others_cpu_s=0.0)
    budget.note(wall_s=1.0, cpu_s=0.2, others_cpu_s=0.15)
    assert budget.keep_ratio == pytest.approx(0.5)
    budget.note(wall_s=2.0, cpu_s=0.3, others_cpu_s=0.15)
    assert budget.keep_ratio == pytest.approx(0.75)


def test_others_do_not_thin_a_quiet_store() -> None:
    """Someone's long search must not cost the few traces of that second."""
    budget = CpuBudget()
    budget.note(wall_s=0.0, cpu_s=0.0, others_cpu_s=0.0)
    budget.note(wall_s=1.0, cpu_s=0.04, others_cpu_s=1.0)
    assert budget.keep_ratio == 1.0
    budget.note(wall_s=2.0, cpu_s=0.14, others_cpu_s=2.0)
    assert budget.keep_ratio == pytest.approx(0.5)


def test_on_a_core_that_others_wait_for_the_share_is_half() -> None:
    """It is judged by the batch there, and the next time anew."""
    budget = CpuBudget()
    budget.note(wall_s=0.0, cpu_s=0.0)
    budget.note(wall_s=0.2, cpu_s=0.1, is_core_wanted=True)
    assert budget.keep_ratio == 1.0
    budget.note(wall_s=0.5, cpu_s=0.125)
    assert budget.keep_ratio == 0.5
    budget.note(wall_s=1.0, cpu_s=0.5)
    assert budget.keep_ratio == 0.5
    budget.note(wall_s=1.5, cpu_s=0.345)
    assert budget.keep_ratio == 0.5


def test_who_gets_no_time_keeps_less_too() -> None:
    """On a core that others wait for; on a free one a backlog is worked off whole."""
    budget = CpuBudget()
    budget.note(wall_s=0.0, cpu_s=0.0)
    budget.note(wall_s=1.0, cpu_s=0.01, is_behind=True)
    assert budget.keep_ratio == 1.0
    budget.note(wall_s=2.0, cpu_s=0.02, is_behind=True, is_core_wanted=True)
    budget.note(wall_s=3.0, cpu_s=0.03, is_behind=True, is_core_wanted=True)
    assert budget.keep_ratio == 0.25
    budget.note(wall_s=4.0, cpu_s=0.04, is_core_wanted=True)
    assert budget.keep_ratio == 0.375
