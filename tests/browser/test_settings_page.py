"""The settings page in a real browser: the six steps of a newcomer, from an empty folder to a taken span."""

from __future__ import annotations

import json

from tests.browser.plane import Plane, shoot
from tests.rig.browser import Page
from tests.rig.otlp_sink import Answer, OtlpSink
from tests.rig.requires import requires

pytestmark = requires("chromium")

KEY = "aWQ6Y2FuYXJ5LXNlY3JldA=="
REFUSED = "rpc error: code = Unauthenticated desc = ApiKey prefix not found, expected ApiKey <value>"
PAGE = "/controls/settings/otel"


async def choose(page: Page, selector: str, value: str) -> None:
    """Choose from a list as a person does."""
    field = f"document.querySelector({json.dumps(selector)})"
    await page.run(
        f"{field}.value = {json.dumps(value)}, "
        f"{field}.dispatchEvent(new Event('input', {{bubbles: true}})), "
        f"{field}.dispatchEvent(new Event('change', {{bubbles: true}}))"
    )


async def test_the_six_steps(plane: Plane, page: Page) -> None:
    """From the first tick to a span that is taken, with the mistake that most make on the way."""
    await plane.sign_in(page)
    with OtlpSink() as sink:
        await page.look()
        await page.open(plane.origin + PAGE)
        await page.wait("!document.getElementById('loaded').hidden")
        await shoot(page, "empty")
        await choose(page, "#preset", "elastic")
        await page.fill("#traces-endpoint", sink.traces_url)
        await page.run("document.getElementById('traces-encoding').value = 'proto'")
        await page.fill("#traces-headers .pair input:nth-child(2)", KEY)
        await page.click("#save")
        await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")

        sink.answer(Answer(401, body=REFUSED.encode(), content_type="text/plain"))
        await page.click("#test")
        await page.wait("document.getElementById('result').innerText.includes('failed')")
        said = await page.text("#result")
        assert "lacks the prefix" in said
        assert "Authorization: ApiKey <key>" in said
        await shoot(page, "refused")

        await page.fill("#traces-headers .pair input:nth-child(2)", f"ApiKey {KEY}")
        await page.click("#save")
        await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")
        await page.click("#test")
        await page.wait("document.getElementById('result').innerText.includes('ok in')")
        ((resource, span),) = sink.spans_with_resource()
        assert span.name == "gateway otel test"
        assert resource["service.name"] == "tfy-llm-gateway"
        assert resource["deployment.environment.name"] == "production"
        assert sink.requests()[-1].headers["authorization"] == f"ApiKey {KEY}"
        for scheme in ("light", "dark"):
            await page.look(scheme=scheme)
            await shoot(page, f"taken-{scheme}")

    manifest = (plane.folder / "gateway-otel-config.yaml").read_text()
    assert KEY not in manifest
    assert "ApiKey file:secrets/default-traces-authorization" in manifest
    assert KEY not in await page.run("document.documentElement.outerHTML")
    assert "1,234" in await page.text("#destinations")
    assert page.complaints == []


async def test_on_a_phone(plane: Plane, page: Page) -> None:
    """Nothing but the ledger's own table is wider than the screen."""
    await plane.sign_in(page)
    for scheme in ("light", "dark"):
        await page.look(width=390, height=1400, scheme=scheme)
        await page.open(plane.origin + PAGE)
        await page.wait("!document.getElementById('loaded').hidden")
        await choose(page, "#preset", "elastic")
        await shoot(page, f"phone-{scheme}")
        assert await page.run("document.documentElement.scrollWidth") == 390


async def test_problems_are_shown_where_they_are(plane: Plane, page: Page) -> None:
    """In check-config's words, and nothing is written."""
    await plane.sign_in(page)
    await page.open(plane.origin + PAGE)
    await page.wait("!document.getElementById('loaded').hidden")
    await page.click("#traces-enabled")
    await page.fill("#traces-endpoint", "collector:4318")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('endpoint')")
    assert "https://host" in await page.text("#result")
    assert not (plane.folder / "gateway-otel-config.yaml").exists()
