"""Charts under the pages' own policy: uPlot is drawn, follows the theme, and nothing is blocked."""

from __future__ import annotations

from tests.browser.plane import Plane, shoot
from tests.rig.browser import Page
from tests.rig.requires import requires

pytestmark = requires("chromium")

_DRAW = """
(async () => {
  const base = document.querySelector('link[rel=stylesheet]').href.replace('app.css', '');
  const load = (tag, values) => new Promise((done) => {
    document.head.append(Object.assign(document.createElement(tag), values, { onload: done }));
  });
  await load('link', { rel: 'stylesheet', href: base + 'vendor/uplot/uPlot.min.css' });
  await load('script', { src: base + 'vendor/uplot/uPlot.min.js' });
  const { chart, colour, sparkline } = await import(base + 'js/chart.js');
  const box = Object.assign(document.createElement('div'), { className: 'card chart' });
  document.querySelector('main').prepend(box);
  const times = [...Array(60).keys()].map((at) => 1700000000 + at * 60);
  const drawn = chart(box, {
    series: [{ label: 'p50', area: true }, { label: 'p99' }],
    data: [times, times.map((_, at) => 100 + at), times.map((_, at) => (at % 7 ? 300 + at * 3 : null))],
    format: (value) => `${value} ms`,
  });
  box.after(sparkline([1, 5, 2, 8], 'four values'));
  window.drawn = { before: colour('--ink') };
  drawn.update([times, times.map(() => 5), times.map(() => 6)]);
  return true;
})()
"""

_AXIS = """
(async () => {
  const base = document.querySelector('link[rel=stylesheet]').href.replace('app.css', '');
  const { axisTimes } = await import(base + 'js/format.js');
  const midnight = new Date(2026, 10, 27).getTime() / 1000;
  const minutes = axisTimes([midnight - 60, midnight, midnight + 60], 60);
  return [minutes, axisTimes([midnight - 86400, midnight], 86400)];
})()
"""


async def test_a_chart_is_drawn(plane: Plane, page: Page) -> None:
    """With its legend, and anew when the theme changes."""
    await plane.sign_in(page)
    await page.look(width=1440, height=900)
    await page.open(plane.origin + "/configuration/api")
    assert await page.run(_DRAW)
    assert await page.run("document.querySelectorAll('.chart canvas').length") == 1
    assert await page.run("document.querySelector('.spark').getAttribute('aria-label')") == "four values"
    legend = await page.text(".chart .u-legend")
    assert "p50" in legend
    assert "p99" in legend
    # Times as the rest of the pages writes them: in the reader's language, the day where it begins.
    assert await page.run(_AXIS) == [
        ["11:59 PM\nNov 26", "12:00 AM\nNov 27", "12:01 AM"],
        ["Nov 26", "Nov 27"],
    ]
    await page.run("document.querySelector('.chart canvas').dataset.old = 'yes'")
    await page.click("#theme")
    await page.click("#theme")
    assert await page.run("document.documentElement.dataset.theme") == "dark"
    assert await page.run("document.querySelector('.chart canvas').dataset.old === undefined")
    assert await page.run("document.querySelectorAll('.chart canvas').length") == 1
    await shoot(page, "chart")
    assert page.complaints == []


async def test_a_long_label(plane: Plane, page: Page) -> None:
    """What callers write as metadata names a line, and makes the page no wider however long it is."""
    await plane.sign_in(page)
    await page.look(width=390, height=900)
    await page.open(plane.origin + "/configuration/api")
    assert await page.run(_DRAW.replace("'p99'", "'m'.repeat(128)"))
    assert "m" * 128 in await page.text(".chart .u-legend")
    assert await page.run("document.documentElement.scrollWidth") <= 390
