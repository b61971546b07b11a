"""Signing in, in a real browser: the first link, passwords and tokens, what is refused, and a viewer."""

from __future__ import annotations

import pytest

from gateway.control.operator import Role
from tests.browser.plane import Plane, shoot
from tests.rig.browser import Page
from tests.rig.requires import requires
from tests.unit.control.rooms import TOKEN

pytestmark = requires("chromium")

PASSWORD = "correct horse battery"
SETTINGS = "/controls/settings/otel"
SIGNED_IN = "document.readyState === 'complete' && document.querySelector('#operator-menu') !== null"


async def open_first_link(plane: Plane, page: Page) -> None:
    secret = plane.access.entrance.accounts.make_link("admin")
    await page.look()
    await page.open(f"{plane.origin}/first#{secret}")
    assert secret not in await page.run("location.href")


async def test_from_the_first_link_to_the_dashboard(plane: Plane, page: Page) -> None:
    """Choose a password, be in; sign out, be out; sign in again and be where one wanted to go."""
    await open_first_link(plane, page)
    await shoot(page, "first")
    await page.fill("#password", "short")
    await page.click("#go")
    await page.wait("document.getElementById('error').innerText.includes('at least 12')")
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD + "x")
    await page.click("#go")
    await page.wait("document.getElementById('error').innerText.includes('not the same')")
    await page.fill("#again", PASSWORD)
    await page.click("#go")
    await page.wait(SIGNED_IN)
    assert await page.run("document.cookie") in ("", "gateway-theme=auto")

    await page.click("#operator-menu summary")
    await page.click("#sign-out")
    await page.wait("location.pathname === '/sign-in'")
    await page.open(f"{plane.origin}{SETTINGS}?from=x")
    assert (await page.run("location.href")).endswith(
        "/sign-in?next=%2Fcontrols%2Fsettings%2Fotel%3Ffrom%3Dx"
    )
    await shoot(page, "sign-in")
    await page.fill("#password", "wrong")
    await page.click("#go")
    await page.wait("document.getElementById('error').innerText.includes('wrong')")
    await page.fill("#password", PASSWORD)
    await page.click("#go")
    await page.wait(SIGNED_IN)
    assert (await page.run("location.href")).endswith(f"{SETTINGS}?from=x")
    # The browser itself complains of the answer to the wrong password.
    assert [one for one in page.complaints if "401" not in one] == []


async def test_a_link_that_was_used(plane: Plane, page: Page) -> None:
    """It is said, with what to do."""
    secret = plane.access.entrance.accounts.make_link("admin")
    plane.access.entrance.accounts.use_link(secret, PASSWORD)
    await page.open(f"{plane.origin}/first#{secret}")
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD)
    await page.click("#go")
    await page.wait("document.getElementById('error').innerText.includes('gateway admin link')")


async def test_with_the_token(plane: Plane, page: Page) -> None:
    """Of the environment, or one that was made."""
    await page.open(plane.origin + SETTINGS)
    await page.click("[data-way=token]")
    await page.fill("#token", TOKEN)
    await page.click("#go")
    await page.wait(SIGNED_IN)
    assert TOKEN not in await page.run("document.documentElement.outerHTML + document.cookie")


async def test_guessing_is_slowed(plane: Plane, page: Page) -> None:
    """The page says for how long."""
    await page.open(plane.origin + "/sign-in")
    await page.click("[data-way=token]")
    for _ in range(6):
        await page.run(
            "fetch('/api/sign-in', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
            'body: \'{"token": "guess"}\'}).then(() => true)'
        )
    await page.fill("#token", TOKEN)
    await page.click("#go")
    await page.wait("document.getElementById('error').innerText.includes('try again in')")


async def test_a_session_that_has_ended_leads_to_signing_in(plane: Plane, page: Page) -> None:
    """And not to a page that says nothing."""
    await plane.sign_in(page)
    await page.open(plane.origin + SETTINGS)
    await page.wait("!document.getElementById('loaded').hidden")
    for token in plane.access.entrance.accounts.tokens():
        plane.access.entrance.accounts.revoke_token(token.id)
    await page.wait("location.pathname === '/sign-in'")


@pytest.mark.parametrize("role", list(Role))
async def test_no_page_of_another_site_changes_anything(plane: Plane, page: Page, role: Role) -> None:
    """With the cookie, without the token of the session."""
    await plane.sign_in(page, role)
    await page.open(plane.origin + SETTINGS)
    asked = (
        "fetch('/api/telemetry/test', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
        "body: '{}'}).then((reply) => reply.json()).then((body) => body.error.code)"
    )
    assert await page.run(asked) == "csrf"


async def test_it_is_in_no_frame(plane: Plane, page: Page) -> None:
    """Or what is clicked could be something else than what is seen."""
    await plane.sign_in(page)
    await page.open(plane.origin + "/livez")
    await page.run(
        "new Promise((done) => { const frame = document.createElement('iframe'); "
        f"frame.src = '{SETTINGS}'; frame.onload = done; document.body.append(frame); }}).then(() => true)"
    )
    assert await page.run("document.querySelector('iframe').contentDocument === null")
