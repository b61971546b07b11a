"""Every page of the navigation, and the way in, for people who do not see, point or have a large screen."""

from __future__ import annotations

import pytest

from gateway.control.operator import Role
from gateway.control.pages.navigation import NAVIGATION
from tests.browser.plane import Plane, shoot
from tests.rig.axe import find_faults
from tests.rig.browser import Page
from tests.rig.requires import requires

pytestmark = requires("chromium")

PAGES = [entry.path for group in NAVIGATION for entry in group.entries] + ["/configuration/manifests/new"]
# What is there only when it is asked for.
OPENED = (
    "for (const one of document.querySelectorAll('.switch > input:not(:checked)')) one.click(); "
    "for (const one of document.querySelectorAll('details.more')) one.open = true"
)


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param(((1440, "light"), (390, "dark")), id="half"),
        pytest.param(((1440, "dark"), (390, "light")), id="other half", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_no_faults(
    plane: Plane, page: Page, path: str, looks: tuple[tuple[int, str], ...]
) -> None:
    """Light and dark, large and small; nothing is wider than the screen, and the console is silent."""
    await plane.sign_in(page)
    for width, scheme in looks:
        await page.look(width=width, height=900, scheme=scheme)
        await page.open(plane.origin + path)
        await page.wait("document.querySelector('main .skeleton:not([hidden] *)') === null")
        await page.run(f"{OPENED}; true")
        await shoot(page, f"{path.strip('/').replace('/', '-')}-{width}-{scheme}")
        assert await find_faults(page) == []
        assert await page.run("document.documentElement.scrollWidth") <= width
    assert page.complaints == []


@pytest.mark.parametrize("path", ["/sign-in", "/first"])
async def test_the_way_in_has_no_faults(plane: Plane, page: Page, path: str) -> None:
    """Before anybody is signed in."""
    for scheme in ("light", "dark"):
        await page.look(scheme=scheme)
        await page.open(plane.origin + path)
        assert await find_faults(page) == []
    assert page.complaints == []


async def test_faults_are_found(plane: Plane, page: Page) -> None:
    """The tests above could fail."""
    await page.open(plane.origin + "/sign-in")
    await page.run("document.querySelector('label').remove(), document.querySelector('h1').remove(), true")
    found = await find_faults(page)
    assert any("label" in one for one in found)


async def test_the_navigation_on_a_phone(plane: Plane, page: Page) -> None:
    """It opens, takes the focus, closes by Escape and gives the focus back."""
    await plane.sign_in(page, Role.VIEWER)
    await page.look(width=390, height=844)
    await page.open(plane.origin + PAGES[0])
    assert await page.run("getComputedStyle(document.getElementById('nav')).visibility") == "hidden"
    await page.click("#nav-toggle")
    await page.wait("getComputedStyle(document.getElementById('nav')).visibility === 'visible'")
    await page.wait("document.activeElement.closest('#nav') !== null")
    await shoot(page, "navigation-390")
    assert await find_faults(page) == []
    await page.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}))")
    await page.wait("document.activeElement.id === 'nav-toggle'")


async def test_light_and_dark_by_choice(plane: Plane, page: Page) -> None:
    """The choice stays, on the next page too, before any script has run."""
    await plane.sign_in(page)
    await page.open(plane.origin + PAGES[0])
    for theme in ("light", "dark", "auto"):
        await page.click("#theme")
        assert await page.run("document.documentElement.dataset.theme") == theme
        # Where it goes next must not overtake the cookie on its way out of the page.
        await page.wait(f"document.cookie.includes('gateway-theme={theme}')")
        await page.open(plane.origin + PAGES[0])
        assert await page.run("document.documentElement.dataset.theme") == theme


async def test_pages_are_found_by_keyboard(plane: Plane, page: Page) -> None:
    """Ctrl+K, a few letters, Enter."""
    await plane.sign_in(page)
    await page.open(plane.origin + PAGES[0])
    await page.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'k', ctrlKey: true}))")
    # By what it is about, too, which is what a newcomer knows.
    await page.fill("#palette-input", "elastic")
    await page.wait("document.querySelectorAll('#palette-list li').length === 1")
    assert await find_faults(page) == []
    await page.run(
        "document.getElementById('palette-input')"
        ".dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"
    )
    await page.wait("location.pathname === '/controls/settings/otel'")
