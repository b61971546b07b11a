"""perf/procfs.py."""

from __future__ import annotations

import pytest

from perf.procfs import ProcessStat, descendants, parse_core_busy_s, parse_stat

_STAT = (
    "4242 (gran) ian (x)) S 4241 4241 4241 0 -1 4194560 7777 0 0 0 150 50 70 30 20 0 4 0 987654 123456789 "
    "2048 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 0 0 0 0 0 0\n"
)


def test_stat_of_a_program_with_parentheses_and_spaces_in_its_name() -> None:
    """The name may hold anything; the fields after its last parenthesis count; children's time is apart."""
    stat = parse_stat(_STAT, ticks_per_s=100, page_bytes=4096)
    assert stat == ProcessStat(
        pid=4242, parent_pid=4241, started_ticks=987654, cpu_s=2.0, rss_bytes=2048 * 4096, ended_cpu_s=1.0
    )


def test_busy_time_of_a_core_leaves_out_idle_and_waiting() -> None:
    """Of user, nice, system, idle, iowait, irq, softirq, steal all but the fourth and fifth."""
    text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 10 50 5000 700 1 2 37 8 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n"
    assert parse_core_busy_s(text, 0, ticks_per_s=100) == 2.0


def test_a_core_that_is_not_there() -> None:
    """A wrong core is an error, not zero seconds."""
    with pytest.raises(LookupError, match="cpu7"):
        parse_core_busy_s("cpu0 1 1 1 1 1 1 1 1 0 0\n", 7)


def _process(pid: int, parent_pid: int) -> ProcessStat:
    return ProcessStat(pid, parent_pid, started_ticks=1, cpu_s=0.0, rss_bytes=0)


def test_descendants_are_found_at_any_depth_and_strangers_are_not() -> None:
    """Grandchildren count, and so does the root; its parent and siblings do not."""
    stats = {
        pid: _process(pid, parent) for pid, parent in [(1, 0), (10, 1), (11, 10), (12, 10), (13, 11), (20, 1)]
    }
    assert [process.pid for process in descendants(10, stats)] == [10, 11, 13, 12]


def test_descendants_of_a_process_that_is_gone() -> None:
    """Nothing, also when orphans still name it as parent."""
    assert descendants(10, {1: _process(1, 0)}) == ()
