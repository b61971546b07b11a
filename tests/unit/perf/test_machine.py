"""perf/machine.py."""

from __future__ import annotations

import platform

import pytest

from perf.machine import parse_cpu_model, parse_nginx_version


def test_cpu_model_is_found() -> None:
    """The first processor names them all."""
    assert parse_cpu_model("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t: a b\n") == "AMD EPYC 7B13"


def test_cpu_without_a_name_is_its_architecture() -> None:
    """ARM kernels give no model name."""
    assert parse_cpu_model("processor\t: 0\nBogoMIPS\t: 50\n") == platform.machine()


@pytest.mark.parametrize(
    ("text", "version"),
    [("nginx version: nginx/1.22.1\n", "1.22.1"), ("nginx/1.27.0", "1.27.0"), ("", "unknown")],
)
def test_version_of_nginx(text: str, version: str) -> None:
    """It is no package, so it says its version itself."""
    assert parse_nginx_version(text) == version
