"""perf/machine.py."""

from __future__ import annotations

import platform

from perf.machine import parse_cpu_model


def test_cpu_model_is_found() -> None:
    """The first processor names them all."""
    assert parse_cpu_model("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t: a b\n") == "AMD EPYC 7B13"


def test_cpu_without_a_name_is_its_architecture() -> None:
    """ARM kernels give no model name."""
    assert parse_cpu_model("processor\t: 0\nBogoMIPS\t: 50\n") == platform.machine()
