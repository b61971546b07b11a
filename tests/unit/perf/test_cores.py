"""perf/cores.py."""

from __future__ import annotations

import pytest

from perf.cores import Cores, choose_cores, parse_core_list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0\n", {0}, id="one"),
        pytest.param("0-3", {0, 1, 2, 3}, id="a range"),
        pytest.param("0,4-5", {0, 4, 5}, id="both"),
    ],
)
def test_core_list(text: str, expected: set[int]) -> None:
    """The kernel's form of sets of cores."""
    assert parse_core_list(text) == expected


def test_tools_avoid_the_hyper_thread_of_the_contender() -> None:
    """A hyper-thread is no core of its own: load there would slow the contender."""
    assert choose_cores([0, 1, 2, 3], lambda core: {core, core ^ 1}) == Cores(0, 2)


def test_two_hyper_threads_are_used_and_the_reader_is_told() -> None:
    """Better than one core, worse than two."""
    cores = choose_cores([0, 1], lambda _: {0, 1})
    assert (cores.contender, cores.tools) == (0, 1)
    assert "hyper-threads" in cores.note


def test_one_core_pins_nothing_and_the_reader_is_told() -> None:
    """On one core the run still works."""
    cores = choose_cores([5], lambda _: {5})
    assert (cores.contender, cores.tools) == (None, None)
    assert "nothing is pinned" in cores.note
