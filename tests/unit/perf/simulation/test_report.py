"""perf/simulation/report.py: what is shown of a run."""

from __future__ import annotations

import logging
from xml.etree import ElementTree as ET

import pytest

from perf.simulation.__main__ import make_setting
from perf.simulation.contenders import CONTENDERS
from perf.simulation.play import Seen, Setting, play
from perf.simulation.report import charts_of, to_markdown


@pytest.fixture(scope="module")
def run() -> tuple[Setting, dict[str, Seen]]:
    logging.disable()
    setting = make_setting(1500, seed=7, calls_per_s=5.0)
    found = {name: play(setting, make) for name, make in CONTENDERS.items()}
    logging.disable(logging.NOTSET)
    return setting, found


def test_every_contender_and_every_trouble_has_a_row(run: tuple[Setting, dict[str, Seen]]) -> None:
    """And the setting is told, so that it can be repeated."""
    setting, found = run
    text = to_markdown(setting, found)
    for name, seen in found.items():
        assert f"| {name} " in text
        assert f" {seen.failed:,} |" in text
    for trouble in {one.trouble for one in setting.episodes if one.trouble.is_whole}:
        assert f"| {trouble.value} " in text
    assert "1,500 calls to 10 providers, 5 a second" in text


def test_charts_are_drawn(run: tuple[Setting, dict[str, Seen]]) -> None:
    """Each that the Markdown shows, as XML."""
    setting, found = run
    charts = charts_of(setting, found)
    text = to_markdown(setting, found)
    for name, chart in charts.items():
        assert f"(simulation-{name}.svg)" in text
        assert ET.fromstring(chart).tag.endswith("svg")  # noqa: S314  ours
    assert "provider-9" in charts["course"]
