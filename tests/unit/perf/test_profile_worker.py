"""perf/profile_worker.py: what it makes of what py-spy saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.profile_worker import Profile, ProfileError, main_cpu_ratio, record, section
from perf.stacks import Stack


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


def test_who_may_not_trace_is_told_how(tmp_path: Path) -> None:
    """py-spy's own words, and what it needs."""
    py_spy = tmp_path / "py-spy"
    py_spy.write_text("#!/bin/sh\necho 'Permission denied' >&2\nexit 1\n")
    py_spy.chmod(0o755)
    with pytest.raises(ProfileError, match=r"Permission denied\n.*CAP_SYS_PTRACE"):
        record(py_spy, 1, (), 1.0, None, tmp_path / "out")
