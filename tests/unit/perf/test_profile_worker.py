"""perf/profile_worker.py: what it makes of what py-spy saw."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perf.load import Amount
from perf.process import ProgramError, started_executable
from perf.profile_worker import Profile, ProfileError, main_cpu_ratio, record, released, section
from perf.stacks import Stack
from perf.tools import HeldLoad


def test_the_main_thread_is_the_one_with_the_id_of_the_process() -> None:
    """Threads that came meanwhile count from nothing."""
    assert main_cpu_ratio(7, {7: 1.0, 8: 5.0}, {7: 4.0, 8: 5.5, 9: 0.5}) == pytest.approx(0.75)
    assert main_cpu_ratio(7, {7: 1.0}, {}) == 0.0


def test_a_profile_is_two_tables_and_a_picture() -> None:
    """The graph is kept as it is, and programs get all shares."""
    stack = Stack(("_run_module_as_main (<frozen runpy>:198)", "f (/src/gateway/pipeline.py:1)"), 4)
    shown = section(Profile((stack,), 0.8, "<svg/>"))
    assert "| gateway.pipeline | 100.0% |       100.0% |" in shown.body
    assert "| gateway.pipeline: f | 100.0% |       100.0% |" in shown.body
    assert "80% of the worker's CPU time" in shown.facts
    assert shown.charts == {"flame-graph": "<svg/>"}
    assert shown.data["packages"] == [
        {"name": "gateway.pipeline", "own_ratio": 1.0, "whole_ratio": 1.0},
    ]


def test_an_interrupt_does_not_wait_for_the_load(tmp_path: Path) -> None:
    """It is to go on for longer than anybody who has pressed Ctrl-C waits."""
    endless = [sys.executable, "-c", "import time; input(); time.sleep(600)"]
    with started_executable("load", endless, core=None, folder=tmp_path, has_pipes=True) as program:
        with pytest.raises(KeyboardInterrupt), released(HeldLoad(program, Amount(1, seconds=100))) as loaded:
            raise KeyboardInterrupt
        assert isinstance(loaded.exception(), ProgramError)


def test_a_py_spy_that_is_not_there_is_told(tmp_path: Path) -> None:
    """In a word, and not by a traceback."""
    with pytest.raises(ProfileError, match="No such file"):
        record(tmp_path / "py-spy", 1, (), 1.0, None, tmp_path / "out")


def test_who_may_not_trace_is_told_how(tmp_path: Path) -> None:
    """py-spy's own words, and what it needs."""
    py_spy = tmp_path / "py-spy"
    py_spy.write_text("#!/bin/sh\necho 'Permission denied' >&2\nexit 1\n")
    py_spy.chmod(0o755)
    with pytest.raises(ProfileError, match=r"Permission denied\n.*CAP_SYS_PTRACE"):
        record(py_spy, 1, (), 1.0, None, tmp_path / "out")
