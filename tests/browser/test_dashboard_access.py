"""Users and tokens of the dashboard, in a real browser."""

from __future__ import annotations

from gateway.control.operator import Role
from tests.browser.plane import Plane, shoot
from tests.rig.axe import find_faults
from tests.rig.browser import Page
from tests.rig.requires import requires

pytestmark = requires("chromium")

PAGE = "/access/dashboard"
PASSWORD = "correct horse battery"
EVIL = "<img src=x onerror=alert(1)>"


async def test_a_user_is_added_and_chooses_a_password(plane: Plane, page: Page) -> None:
    """The link is shown once; whoever opens it is that user, with that role."""
    await plane.sign_in(page)
    await page.look(width=1440, height=900)
    await page.open(plane.origin + PAGE)
    await page.wait("document.querySelector('#users .empty') !== null")
    # Who came with a token has no password to change.
    assert await page.run("document.getElementById('password-form')") is None
    await shoot(page, "access-empty")
    await page.click("#add-user")
    await page.fill("#add-name", "ada")
    assert await find_faults(page) == []
    await shoot(page, "access-add")
    await page.click("#add-go")
    await page.wait("document.getElementById('secret-dialog').open")
    link = await page.text("#secret")
    assert link.startswith(f"{plane.origin}/first#")
    assert await find_faults(page) == []
    await shoot(page, "access-link")
    await page.click("#secret-dialog button.main")
    await page.wait("document.querySelector('#users tbody tr') !== null")
    await page.wait("document.getElementById('secret').textContent === ''")
    assert link.partition("#")[2] not in await page.run("document.documentElement.outerHTML")
    await shoot(page, "access-users")
    await page.look(width=400)
    role = "document.querySelector('#users select')"
    assert await page.run(f"{role}.clientWidth") >= 100, "a phone shows the role, too"

    await page.open("about:blank#away")
    await page.call("Network.clearBrowserCookies")
    await page.open(link)
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD)
    await page.click("#go")
    await page.wait("document.readyState === 'complete' && document.querySelector('#operator-menu') !== null")
    assert "viewer" in await page.run("document.getElementById('operator-menu').textContent")
    await page.open(plane.origin + PAGE)
    assert await page.run("document.getElementById('users') === null")
    await page.fill("#old", PASSWORD)
    await page.fill("#new", PASSWORD + " staple")
    await page.click("#change")
    await page.wait("document.querySelector('.toast')?.innerText.includes('changed')")
    assert plane.access.entrance.accounts.check_password("ada", PASSWORD + " staple")
    assert page.complaints == []


async def test_a_token_is_made_and_revoked(plane: Plane, page: Page) -> None:
    """Seen once; what uses it is refused afterwards."""
    await plane.sign_in(page)
    await page.open(plane.origin + PAGE)
    await page.wait("document.querySelector('#tokens tbody tr') !== null")
    await page.click("#add-token")
    await page.fill("#add-name", "nightly report")
    # No number, which the browser shows and gives to no script: this is not "never".
    await page.fill("#add-days", "3e")
    await page.click("#add-go")
    assert await page.text("#add-error") == "The days are no number."
    await page.fill("#add-days", "30")
    await page.click("#add-go")
    await page.wait("document.getElementById('secret-dialog').open")
    secret = await page.text("#secret")
    assert plane.access.entrance.by_bearer(secret, "here") is not None
    await page.click("#secret-dialog button.main")
    await page.wait("document.querySelector('[aria-label=\"Revoke nightly report\"]') !== null")
    await page.click('[aria-label="Revoke nightly report"]')
    await page.wait("document.querySelector('dialog[aria-label] button.danger') !== null")
    await page.click("dialog[aria-label] button.danger")
    await page.wait("document.querySelector('[aria-label=\"Revoke nightly report\"]') === null")
    assert plane.access.entrance.by_bearer(secret, "here") is None
    assert page.complaints == []


async def test_refusals_are_words(plane: Plane, page: Page) -> None:
    """The last admin stays; a name that is none is told, and is no markup."""
    accounts = plane.access.entrance.accounts
    accounts.use_link(accounts.make_link("admin"), PASSWORD)
    await plane.sign_in(page)
    await page.open(plane.origin + PAGE)
    await page.wait("document.querySelector('[aria-label=\"Role of admin\"]') !== null")
    await page.run(
        "{ const role = document.querySelector('[aria-label=\"Role of admin\"]'); role.value = 'viewer'; "
        "role.dispatchEvent(new Event('change')); } true"
    )
    await page.wait("document.querySelector('.toast.bad')?.innerText.includes('last admin')")
    await page.click("#add-user")
    await page.fill("#add-name", EVIL)
    await page.click("#add-go")
    await page.wait("document.getElementById('add-error').innerText.includes('letters')")
    assert accounts.find_user("admin").role is Role.ADMIN  # type: ignore[union-attr]  # it is there
    assert await page.run("document.querySelector('main img') === null")
