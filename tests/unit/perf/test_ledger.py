"""perf/ledger.py, on what the control API gives."""

from __future__ import annotations

from typing import Any, cast

import pytest

from perf.contenders import Contender
from perf.ledger import ledger_doubts, lost_spans
from perf.process import free_port


def _destination(**counts: int) -> dict[str, Any]:
    ledger: dict[str, Any] = dict.fromkeys(
        ("created", "exported", "rejected", "sampled_out", "queued", "in_flight", "spooled"), 0
    )
    dropped = counts.pop("dropped", 0)
    return {"name": "sink", "ledger": {**ledger, **counts, "dropped": {"total": dropped}}}


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        pytest.param(_destination(created=1000, exported=1000), (), id="all there"),
        pytest.param(_destination(), (), id="none made"),
        pytest.param(
            _destination(created=1000, exported=900, dropped=100),
            ("10.0% of the spans for sink were dropped",),
            id="dropped",
        ),
        pytest.param(
            _destination(created=1000, rejected=5, sampled_out=300, queued=1, in_flight=2, spooled=3),
            (
                "0.5% of the spans for sink were refused",
                "30.0% of the spans for sink were sampled out",
                "0.6% of the spans for sink have not arrived yet",
            ),
            id="some of each",
        ),
    ],
)
def test_spans_that_did_not_arrive_are_told(destination: dict[str, Any], expected: tuple[str, ...]) -> None:
    """A gateway that gives work up must not look fast."""
    assert lost_spans(destination) == expected


def test_a_gateway_that_has_ended_takes_no_figures_along() -> None:
    """What the others did is kept; that nobody knows of its spans is told."""
    ended = Contender("gateway", "", "", cast("Any", None), control_port=free_port())
    (doubt,) = ledger_doubts(ended)
    assert doubt.startswith("gateway: nobody knows whether spans were lost")
    assert ledger_doubts(Contender("nginx", "", "", cast("Any", None))) == ()
