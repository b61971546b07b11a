"""Calls of models from the page of an account, before it is saved, and the way on to the playground."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.plane import Plane, shoot
from tests.rig.axe import find_faults
from tests.rig.behaviours import TEXT, json_reply, normal
from tests.rig.browser import Page
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.requires import requires

pytestmark = requires("chromium")

KEY = "sk-canary-typed-in-the-browser"
EVIL = "<img src=x onerror=document.title='hacked'>"
TESTED = "document.getElementById('tested').innerText"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeUpstream]:
    with FakeUpstream({}, normal) as server:
        yield server


async def test_a_key_is_tried_before_it_is_saved(plane: Plane, page: Page, provider: FakeUpstream) -> None:
    """Refused, mended, good; then saved, changed and tried again with the key that is not shown any more."""
    provider.forget()
    await plane.sign_in(page)
    await page.look(width=1440, height=1000)
    await page.open(plane.origin + "/models/edit?type=provider-account%2Fopenai")
    await page.wait("!document.getElementById('test').disabled")
    text = (
        "type: provider-account/openai\nname: main\n"
        f"base_url: {provider.base_url}\nauth_data: {{type: api-key, api_key: {KEY}}}\n"
        "integrations:\n  - {name: small, model_id: model, model_types: [chat]}\n"
    )
    await page.fill("#yaml textarea", text)
    await page.wait("document.getElementById('verdict').innerText.startsWith('Valid')")
    provider.play("model", json_reply(401, {"error": {"message": f"Incorrect API key {EVIL}"}}))
    await page.click("#test")
    await page.wait(f"{TESTED}.includes('main/small: it failed')")
    said = await page.text("#tested")
    assert f"The provider refuses the key (401): Incorrect API key {EVIL}" in said
    assert "Copy it again" in said
    await shoot(page, "test-call-refused")
    await page.click("#test")
    await page.wait(f"{TESTED}.includes('main/small: it works')")
    said = await page.text("#tested")
    assert f"It said: {TEXT}" in said
    assert "not saved yet" in said
    assert provider.exchanges[-1].header("authorization") == f"Bearer {KEY}"
    assert not (plane.folder / "provider-account-openai.yaml").exists()
    assert await find_faults(page) == []
    await shoot(page, "test-call-good")

    await page.click("#save")
    await page.wait("document.getElementById('verdict').innerText.includes('In force')")
    assert KEY not in await page.run("document.documentElement.outerHTML")
    await page.run(
        "const t = document.querySelector('#yaml textarea'); "
        "t.value = t.value.replace('model_id: model', 'model_id: other'); "
        "t.dispatchEvent(new Event('input', {bubbles: true})); true"
    )
    await page.wait("!document.getElementById('save').disabled")
    await page.click("#test")
    await page.wait(f"{TESTED}.includes('it works') && {TESTED}.includes('not saved yet')")
    last = provider.exchanges[-1]
    assert (last.model, last.header("authorization")) == ("other", f"Bearer {KEY}")
    assert await page.run("document.title") != "hacked"
    # A refused answer is no fault of the page, and nothing else was said.
    assert page.complaints == []


async def test_which_model_is_called_can_be_chosen(plane: Plane, page: Page, provider: FakeUpstream) -> None:
    """Where there are several; and what is wrong with the page is said in place of a call."""
    provider.forget()
    await plane.sign_in(page)
    await page.open(plane.origin + "/models/edit?type=provider-account%2Fopenai")
    await page.wait("!document.getElementById('test').disabled")
    assert await page.run("document.getElementById('test-model').hidden")
    text = (
        f"type: provider-account/openai\nname: main\nbase_url: {provider.base_url}\n"
        "integrations:\n  - {name: small, model_id: one}\n  - {name: large, model_id: two}\n"
    )
    await page.fill("#yaml textarea", text)
    await page.wait("!document.getElementById('test-model').hidden")
    await page.run("document.getElementById('test-model').value = 'large', true")
    await page.click("#test")
    await page.wait(f"{TESTED}.includes('main/large: it works')")
    assert provider.exchanges[-1].model == "two"
    await page.fill("#yaml textarea", text.replace("name: main", "name: lab"))
    await page.wait("document.getElementById('verdict').innerText.includes('error')")
    await page.click("#test")
    await page.wait(f"{TESTED}.includes('lab')")
    assert len(provider.exchanges) == 1


async def test_models_lead_to_the_playground(plane: Plane, page: Page) -> None:
    """With that model chosen."""
    await plane.sign_in(page)
    await page.open(plane.origin + "/models")
    await page.wait("document.querySelector('[aria-label=\"Try lab/qwen in the playground\"]') !== null")
    await page.click("[aria-label='Try lab/qwen in the playground']")
    await page.wait("location.pathname === '/playground' && document.querySelector('.pane input') !== null")
    assert await page.run("document.querySelector('.pane input').value") == "lab/qwen"
