"""Without a mouse: all is reached, where one is can be seen, and dialogs keep the focus and give it back."""

from __future__ import annotations

import json

import pytest

from tests.browser.plane import Plane
from tests.browser.test_manifest_pages import KIND, verdict
from tests.rig.browser import Page
from tests.rig.requires import requires

pytestmark = requires("chromium")

REACHABLE = """
[...document.querySelectorAll('#main :is(a[href], button, input, select, textarea, summary, [tabindex="0"])')]
  .filter((one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility({ visibilityProperty: true })
    && !(one.type === 'radio' && !one.checked))
"""
# Where the focus is, and whether that can be seen: a ring around it, or around the field.
FOCUS = f"""
(() => {{
  const one = document.activeElement;
  const style = getComputedStyle(one);
  return {{ at: one === document.body ? -1 : ({REACHABLE.strip()}).indexOf(one),
    seen: one === document.body || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1),
    what: one.outerHTML.slice(0, 200) }};
}})()
"""
READY = (
    "document.querySelector('main .skeleton:not([hidden] *)') === null && "
    "!['', 'Checking ...'].includes(document.getElementById('verdict')?.innerText)"
)


async def tab_to(page: Page, selector: str, most: int = 80) -> None:
    """Tab until that element has the focus."""
    for _ in range(most):
        if await page.run(f"document.activeElement.matches({json.dumps(selector)})"):
            return
        await page.press("Tab")
    raise AssertionError(f"{most} times Tab did not lead to {selector}")


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/controls/settings/otel",
        f"/controls/rate-limits/edit?type={KIND}",
        "/traces",
        "/access/tokens",
        "/playground",
    ],
)
async def test_everything_is_reached_and_seen(plane: Plane, page: Page, path: str) -> None:
    """By Tab alone, in the order of the page, each with a ring; and on out of it again."""
    await plane.sign_in(page)
    await page.look(width=1440, height=1000)
    await page.open(plane.origin + path)
    await page.wait(READY)
    await page.run("document.getElementById('main').focus(), true")
    count = await page.run(f"({REACHABLE}).length")
    assert count > 0
    visited = []
    for _ in range(count + 5):
        await page.press("Tab")
        focus = await page.run(FOCUS)
        assert focus["seen"], focus["what"]
        if focus["at"] < 0:
            break
        visited.append(focus["at"])
    assert visited == sorted(visited)
    assert set(visited) == set(range(count))
    assert page.complaints == []


async def test_a_dialog_keeps_the_focus_and_gives_it_back(plane: Plane, page: Page) -> None:
    """Opened by Enter, gone round in, left by Escape."""
    await plane.sign_in(page)
    await page.open(plane.origin + "/access/tokens")
    await page.wait(READY)
    await tab_to(page, "#add")
    await page.press("Enter")
    await page.wait("document.getElementById('add-dialog').open")
    for shift in (False, True):
        for _ in range(8):
            await page.press("Tab", shift=shift)
            # The browser's own bar comes between the last and the first.
            assert await page.run(
                "document.activeElement === document.body || "
                "document.activeElement.closest('#add-dialog') !== null"
            )
    await page.press("Escape")
    await page.wait("!document.getElementById('add-dialog').open")
    assert await page.run("document.activeElement.id") == "add"


async def test_a_question_gives_the_focus_back(plane: Plane, page: Page) -> None:
    """And what does harm is not what Enter does."""
    (plane.folder / "team.yaml").write_text("type: team\nname: ml\nmembers: [a@x.io]\nmodels: ['lab/*']\n")
    await plane.sign_in(page)
    await page.open(plane.origin + "/access/callers/edit?type=team&name=ml")
    await page.wait("!document.getElementById('delete').hidden")
    await tab_to(page, "#delete")
    await page.press("Enter")
    await page.wait("document.querySelector('dialog[open]') !== null")
    assert await page.run("document.activeElement.textContent") == "Cancel"
    await page.press("Enter")
    await page.wait("document.querySelector('dialog[open]') === null")
    assert await page.run("document.activeElement.id") == "delete"
    assert (plane.folder / "team.yaml").exists()


async def test_a_rule_is_written_and_saved(plane: Plane, page: Page) -> None:
    """From the empty page to what is in force."""
    await plane.sign_in(page)
    await page.look(width=1440, height=1000)
    await page.open(plane.origin + "/controls/rate-limits")
    await page.wait("document.querySelector('.empty .button.main') !== null")
    await tab_to(page, ".empty .button.main")
    await page.press("Enter")
    await page.wait("document.getElementById('f-rules-0-limit_to') !== null")
    await verdict(page, "Valid")
    await tab_to(page, "#f-rules-0-limit_to")
    await page.press("a", control=True)
    await page.call("Input.insertText", text="33")
    await page.wait("document.querySelector('#yaml textarea').value.includes('limit_to: 33')")
    await verdict(page, "Valid")
    await page.press("s", control=True)
    await verdict(page, "In force")
    assert "limit_to: 33" in (plane.folder / f"{KIND}.yaml").read_text()
    assert page.complaints == []
