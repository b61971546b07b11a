"""perf/charts.py: what is drawn is XML, and as long as it says."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree as ET

import pytest

from perf.charts import WIDTH, Bar, Group, Part, Track, bar_chart, line_chart, nice_ticks, track_chart

_SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{_SVG}text")]  # noqa: S314  ours


def test_bars_are_drawn_to_scale_and_say_their_value() -> None:
    """The longest fills the width, another its share of it."""
    bars = (Bar("bare stack", (Part(50.0),), "50 us"), Bar("gateway", (Part(60.0), Part(40.0, 1)), "100 us"))
    svg = bar_chart("Cost", "CPU & time", (Group("full", bars),), ("serves", "rest"))
    assert {"Cost", "CPU & time", "full", "bare stack", "50 us", "gateway", "100 us", "serves"} <= set(
        _texts(svg)
    )
    rects = list(ET.fromstring(svg).iter(f"{_SVG}rect"))  # noqa: S314  ours
    reference, serves, rest = (float(rect.attrib["width"]) for rect in rects[-3:])
    assert reference == pytest.approx((serves + rest) / 2, abs=0.2)


@pytest.mark.parametrize("label", ["gateway", "weight-based, two circuits open"])
@pytest.mark.parametrize("text", ["1 us", "1,234.56 / 12,345.67 / 123,456.78"])
def test_no_text_is_cut_off(label: str, text: str) -> None:
    """Names of cases are longer than those of contenders, and bars give way to them."""
    svg = bar_chart("Plan", "", (Group("", (Bar(label, (Part(1.0),), text),)),))
    written = {one.text: one for one in ET.fromstring(svg).iter(f"{_SVG}text")}  # noqa: S314  ours
    letter = 6.5
    assert float(written[label].attrib["x"]) - letter * len(label) >= 0
    assert float(written[text].attrib["x"]) + letter * len(text) <= WIDTH
    bar = list(ET.fromstring(svg).iter(f"{_SVG}rect"))[-1]  # noqa: S314  ours
    assert float(bar.attrib["width"]) > 50


def test_what_is_below_nothing_has_no_bar() -> None:
    """Noise can make an added time negative; the text says so."""
    svg = bar_chart("Added", "", (Group("", (Bar("nginx", (Part(-1.0),), "-1.00"),)),))
    assert "-1.00" in _texts(svg)
    assert len(list(ET.fromstring(svg).iter(f"{_SVG}rect"))) == 1  # noqa: S314  the card alone


def test_lines_end_with_their_name() -> None:
    """So no legend is needed, and two names never write over each other."""
    svg = line_chart(
        "RSS", "", {"worker": [(0, 70), (10, 71)], "all": [(0, 71), (10, 72)]}, x_label="n", y_label="MB"
    )
    root = ET.fromstring(svg)  # noqa: S314  ours
    names = {
        text.text: float(text.attrib["y"])
        for text in root.iter(f"{_SVG}text")
        if text.text in {"worker", "all"}
    }
    assert abs(names["worker"] - names["all"]) >= 16
    assert len(list(root.iter(f"{_SVG}polyline"))) == 2


@pytest.mark.parametrize("top", [0.003, 0.9, 1.0, 7.0, 199.1, 4096.0])
def test_ticks_are_round_and_reach_the_top(top: float) -> None:
    """A reader can tell a height from them."""
    ticks = nice_ticks(top)
    assert ticks[0] == 0
    assert ticks[-1] >= top * 0.999
    assert 3 <= len(ticks) <= 7


def test_nothing_has_an_axis_too() -> None:
    """A figure of zero is no reason to fail at the end of a long run."""
    assert nice_ticks(0.0) == [0.0, 1.0]


def test_tracks_share_an_axis() -> None:
    """What was lies under what was done about it, as long as both were."""
    tracks = [Track("a", ((0.0, 50.0),), ((25.0, 50.0),)), Track("b", (), ())]
    svg = track_chart("Trouble", "", tracks, ("was", "done"), length=100.0, x_label="seconds")
    assert {"Trouble", "a", "b", "was", "done", "seconds", "0", "100"} <= set(_texts(svg))
    was, done = [float(rect.attrib["width"]) for rect in ET.fromstring(svg).iter(f"{_SVG}rect")][-2:]  # noqa: S314  ours
    assert was == pytest.approx(2 * done, abs=0.2)


def test_names_of_lines_that_end_on_the_axis() -> None:
    """They stand above each other, and the last not below the axis, where its numbers are."""
    svg = line_chart("Lost", "", {name: [(0, 9), (14, 0)] for name in "abc"}, x_label="s", y_label="n")
    texts = list(ET.fromstring(svg).iter(f"{_SVG}text"))  # noqa: S314  ours
    heights = [float(text.attrib["y"]) for text in texts if text.text in {"a", "b", "c"}]
    (axis,) = (float(text.attrib["y"]) for text in texts if text.text == "14")
    assert [later - one for one, later in itertools.pairwise(heights)] == [16, 16]
    assert heights[-1] < axis
