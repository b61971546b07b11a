"""What is seen of processes and their metrics."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from perf.soak.sampling import Life, Samples, Told, late_share, read_told, role_of

PAGE = """\
# HELP gateway_event_loop_tasks Tasks.
gateway_event_loop_tasks 21
gateway_calls_open 3
gateway_event_loop_lag_seconds_bucket{le="0.001"} 90
gateway_event_loop_lag_seconds_bucket{le="0.01"} 99
gateway_event_loop_lag_seconds_bucket{le="+Inf"} 100
gateway_event_loop_lag_seconds_count 100
gateway_build_info{service_version="0.1.0",gateway_config_version="a"} 1
"""


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (["/venv/bin/python", "-m", "gateway", "serve", "--config", "x"], "supervisor"),
        (["/venv/bin/python", "-m", "gateway.app", "worker", "{}"], "worker"),
        (["/venv/bin/python", "-m", "gateway.app", "control", "{}"], "control"),
        (["valkey-server"], None),
        ([], None),
    ],
)
def test_roles(command: list[str], role: str | None) -> None:
    """By the command line."""
    assert role_of(command) == role


def test_a_page_of_metrics() -> None:
    """Tasks, calls, and how late loops were."""
    assert read_told(PAGE, 5.0) == Told(5.0, 21, 3, {0.001: 90, 0.01: 99, float("inf"): 100})


def test_a_page_without_workers() -> None:
    """Says nothing of them yet."""
    assert read_told("gateway_workers 0\n", 5.0) is None


def test_how_late_loops_were() -> None:
    """Of the looks between two moments alone."""
    first = Told(0.0, 1, 1, {0.001: 0, 0.01: 10, float("inf"): 10})
    last = Told(9.0, 1, 1, {0.001: 98, 0.01: 109, float("inf"): 110})
    assert late_share(first, last, 0.02) == 0.001
    assert late_share(first, last, 0.01) == 0.01
    assert late_share(first, last, 0.0) == float("inf")


def test_nobody_answers() -> None:
    """Control may be away at the moment."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        samples = Samples()
        assert not samples.ask(closed.getsockname()[1], 1.0)
    assert samples.told == []


def test_what_is_no_gateway_is_not_looked_at() -> None:
    """A process that is none, without a child."""
    samples = Samples()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        samples.look(process.pid, 1.0)
    assert samples.lives == []


def test_a_life_as_data() -> None:
    """Columns, for programs."""
    assert Life(7, "worker", 2.0).as_data() == {
        "pid": 7,
        "role": "worker",
        "began_s": 2.0,
        "cpu_s": 0.0,
        "at_s": [],
        "rss_mb": [],
        "sockets": [],
        "files": [],
    }
