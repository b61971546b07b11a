"""perf/scenarios/alone.py: what it makes of what a program says."""

from __future__ import annotations

import pytest

from perf.process import ProgramError
from perf.scenarios.alone import read_line


def test_a_line_of_the_program() -> None:
    """Name and microseconds; anything else is the program's failure."""
    assert read_line("weight-based, sticky\t8.23") == ("weight-based, sticky", 8.23)
    with pytest.raises(ProgramError, match="Traceback"):
        read_line("Traceback (most recent call last):")
