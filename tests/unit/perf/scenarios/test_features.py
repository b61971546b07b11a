"""perf/scenarios/features.py: its rows, and what it makes of its rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.contenders import EVERYTHING, Setup, gateway_manifests
from perf.scenarios.features import FEATURES, LIMITED, OFF, ON, figures_of, section
from perf.turns import Turns
from tests.unit.config.writing import check_text
from tests.unit.perf.making import ROUND, make_latency, make_round

_OFF = make_round(worker_cpu_us=120.0, total_cpu_us=130.0)
_ON = make_round(worker_cpu_us=140.0, total_cpu_us=180.0)
_FULL = Turns({"bare stack": (ROUND,) * 2, OFF: (_OFF,) * 2, ON: (_ON,) * 2})


@pytest.mark.parametrize("setup", [EVERYTHING, *FEATURES], ids=lambda setup: setup.name)
def test_every_way_to_run_the_gateway_is_in_force(setup: Setup, tmp_path: Path) -> None:
    """A setting that has no effect would measure nothing and look cheap."""
    manifests = gateway_manifests(setup, origin="http://127.0.0.1:1", sink="http://127.0.0.1:2/v1/traces")
    checked = check_text(tmp_path, manifests, environ={"PERF_TOKEN": "t"})
    assert (checked.problems, checked.not_in_force) == ((), ())


def test_a_feature_costs_what_the_worker_does_more_than_without_tracing() -> None:
    """A call 140 - 120 us, in units of the bare stack 20 / 200."""
    figures = figures_of(_FULL, {}, ())
    assert figures.median("", ON, "less_off_us") == pytest.approx(20.0)
    assert figures.median("", ON, "less_off_ratio") == pytest.approx(0.1)
    assert figures.median("", ON, "control_cpu_us") == pytest.approx(40.0)
    assert figures.find("", "bare stack", "less_off_us") is None
    assert figures.find("", "bare stack", "less_off_ratio") is None


def test_tools_that_were_the_limit_are_told() -> None:
    """A gateway with little on may be nearly as fast as they are."""
    busy = make_round(tools_ratio=0.95)
    (doubt,) = section(Turns({"bare stack": (ROUND,), OFF: (busy,)}), {}, (), ()).doubts
    assert doubt.startswith(f"{OFF}: load generator and upstream were the bottleneck")


def test_a_reference_of_nothing_gives_no_ratio() -> None:
    """It must not end a long run."""
    idle = make_round(total_cpu_us=0.0)
    figures = figures_of(Turns({"bare stack": (idle,) * 2, OFF: (_OFF,) * 2, ON: (_ON,) * 2}), {}, ())
    assert figures.find("", ON, "less_off_ratio") is None
    assert figures.median("", ON, "less_off_us") == pytest.approx(20.0)


def test_ten_rules_and_a_budget_are_a_row_beside_plain_calls() -> None:
    """What limits cost a call of a worker is read off one line, with the difference to the plain row."""
    limited = make_round(worker_cpu_us=139.5, total_cpu_us=140.0)
    shown = section(Turns({**_FULL.rounds, LIMITED: (limited,) * 2}), {}, (), ())
    assert LIMITED in {setup.name for setup in FEATURES}
    assert "+19.5 us" in next(line for line in shown.body.splitlines() if LIMITED in line)


def test_memory_grows_from_the_first_block_on() -> None:
    """That one warms up; the others should add nothing."""
    blocks = [make_round(worker_rss_bytes=mb * 1_000_000) for mb in (70, 75, 76)]
    figures = figures_of(_FULL, {}, blocks)
    assert figures.median("", "endpoint down", "rss_growth_mb") == pytest.approx(6.0)


def test_section_has_all_three_parts() -> None:
    """At saturation, at a rate, and with the endpoint down; what the gateway gave up is a doubt."""
    quick = make_latency(0.2)
    paced = Turns({"direct": (make_round(latency=quick, lag=quick),), OFF: (_OFF,), ON: (_ON,)})
    shown = section(
        _FULL, {"350 RPS": paced}, [ROUND, ROUND], ["export proto: 10.0% of the spans dropped at sink"]
    )
    assert shown.body.count("export proto") == 2
    assert "15,000 calls change the worker's memory by 0.0 MB" in shown.body
    assert "export proto: 10.0% of the spans dropped at sink" in shown.doubts


def test_what_fails_with_the_endpoint_down_takes_no_row_along() -> None:
    """Minutes were measured before it."""
    shown = section(_FULL, {}, (), (), ("endpoint down: calls failed",))
    assert shown.failed == ("endpoint down: calls failed",)
    assert ON in shown.body
    assert "endpoint is down" not in shown.body
