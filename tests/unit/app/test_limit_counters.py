"""The counters of limits, as control looks at them."""

from __future__ import annotations

from pathlib import Path

from gateway.app.limit_counters import HostFigures, open_figures
from gateway.model import Charge
from gateway.store.counter_table import FILE_NAME, counters_in_memory
from gateway.telemetry.prometheus import to_text

DROPS = "gateway_limits_drops_total"


def lines(figures: HostFigures) -> list[str]:
    """What `/metrics` has of them."""
    return [line for line in to_text(figures.points()).decode().splitlines() if not line.startswith("#")]


def test_what_limits_have_lost() -> None:
    """A counter that is forgotten while it counts lets more pass than its limit: told, and of which kind."""
    counters = counters_in_memory(places=16)
    for number in range(1, 19):
        counters.reserve([Charge(number.to_bytes(16, "big"), 1, 5, 0)])
    assert lines(HostFigures(counters)) == [
        f'{DROPS}{{reason="counters_full"}} 2',
        f'{DROPS}{{reason="notes_full"}} 0',
    ]


def test_without_the_file(tmp_path: Path) -> None:
    """Nothing is known, so nothing is told: no zero that looks like a good sign."""
    (tmp_path / FILE_NAME).mkdir()
    assert lines(open_figures(tmp_path)) == []
