"""perf/bench.py, without starting anything."""

from __future__ import annotations

from pathlib import Path

from perf.bench import space_note


def test_too_little_room_is_told() -> None:
    """A gateway whose disk is full goes on with less, and would look cheap."""
    assert "only 20 MB are free in /small" in space_note(Path("/small/gateway-perf-x"), 20_000_000)
    assert space_note(Path("/tmp/gateway-perf-x"), 2_000_000_000) == ""  # noqa: S108  nothing is there
