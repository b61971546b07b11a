"""perf/contenders.py, without starting anything."""

from __future__ import annotations

from perf.contenders import CONTENDERS, EVERYTHING, available, gateway_manifests
from perf.process import find_program


def test_what_is_not_installed_is_left_out() -> None:
    """A neighbour such as nginx is no dependency; the others are ours."""
    names = available(list(CONTENDERS))
    assert ("nginx" in names) is (find_program("nginx") is not None)
    assert {"bare-stack", "gateway"} <= set(names)


def test_exports_go_to_the_sink_of_the_run() -> None:
    """Its port is known only when it runs."""
    manifests = gateway_manifests(
        EVERYTHING, origin="http://127.0.0.1:1", sink="http://127.0.0.1:2/v1/traces"
    )
    assert 'endpoint: "http://127.0.0.1:2/v1/traces"' in manifests
    assert "url: http://127.0.0.1:1/v1" in manifests
