"""How numbers and times are written, and addresses that say times which are none."""

from __future__ import annotations

import pytest

from tests.browser.plane import Plane
from tests.rig.browser import Page
from tests.rig.requires import requires

pytestmark = requires("chromium")

_WRITTEN = """
(async () => {
  const base = document.querySelector('link[rel=stylesheet]').href.replace('app.css', '');
  const { duration, since } = await import(base + 'js/format.js');
  return [
    [0.4234, 9.4, 812.4, 999.7, 59949, 59996, 119600, 125000, 3599600, 7199000].map(duration),
    [400, 59600, 1740e3, 3590e3, 86100e3, -3590e3].map((ago) => since(1e12 - ago, 1e12)),
  ];
})()
"""


async def test_what_is_rounded_up_is_said_in_the_next_unit(plane: Plane, page: Page) -> None:
    """Nothing takes 1 min 60 s, or was 60 minutes ago."""
    await plane.sign_in(page)
    await page.open(plane.origin + "/configuration/api")
    durations, times = await page.run(_WRITTEN)
    assert durations == [
        *("0.42 ms", "9.4 ms", "812 ms", "1 s", "59.9 s", "1 min 0 s", "2 min 0 s", "2 min 5 s"),
        *("1 h 0 min", "2 h 0 min"),
    ]
    assert times == ["now", "1 minute ago", "29 minutes ago", "1 hour ago", "yesterday", "in 1 hour"]


@pytest.mark.parametrize("path", ["/monitor", "/traces"])
async def test_an_address_with_times_that_are_none(plane: Plane, page: Page, path: str) -> None:
    """It was cut on its way: the page says so, and other times can be chosen."""
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{path}?since=2026-11-27T0&until=x")
    await page.wait("document.getElementById('trouble').innerText.includes('not an RFC 3339 time')")
    assert await page.text("#range-text") == "Other times"
    await page.click("#ranges [data-range='24h']")
    await page.wait("document.getElementById('trouble').innerText === ''")
    assert await page.run("location.search") == "?range=24h"
    assert [one for one in page.complaints if "400" not in one] == []


@pytest.mark.parametrize("width", [360, 390, 640, 700, 1280])
async def test_other_times_can_be_chosen_on_a_screen_of_any_size(
    plane: Plane, page: Page, width: int
) -> None:
    """What opens is within the screen."""
    await plane.sign_in(page)
    await page.look(width=width, height=800)
    await page.open(plane.origin + "/traces")
    await page.click("#range-summary")
    left, right = await page.run(
        "(({left, right}) => [left, right])(document.getElementById('range-form').getBoundingClientRect())"
    )
    assert 0 <= left < right <= width
