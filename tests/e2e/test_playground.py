"""The playground and the tokens page of a real gateway, in a real browser and against what may be forged."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.dashboard_tokens import LIFE_S, DashboardKey
from tests.browser.plane import shoot
from tests.rig.axe import find_faults
from tests.rig.behaviours import TEXT, chunk, stream_of
from tests.rig.browser import Chromium, Page
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import ADMIN_TOKEN, GatewayProcess
from tests.rig.manifests import ENVIRONMENT, SCRIPTED, chat, standard_documents
from tests.rig.requires import requires
from tests.rig.until import until

pytestmark = requires("chromium")

EVIL = "<img src=x onerror=window.evil=1><script>window.evil=1</script>"
IDLE = "!document.getElementById('run').disabled"
READY = "document.querySelectorAll('#models option').length > 0"


@pytest.fixture(scope="module")
def own_gateway(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = standard_documents(upstream_server.base_url, 1)
    price = {"metric": "per_1000_tokens", "value": {"input": 1, "output": 2, "cache_read": 1}}
    for account in documents:
        if account["name"] == "fake":
            account["integrations"] = [{**one, "cost": price} for one in account["integrations"]]
    folder = tmp_path_factory.mktemp("own")
    with GatewayProcess(folder, documents, workers=2, environment=ENVIRONMENT) as process:
        yield process


@pytest.fixture
def own(own_gateway: GatewayProcess, upstream: FakeUpstream) -> GatewayProcess:
    """A gateway to which callers may be added; one of its accounts has prices."""
    return own_gateway


@asynccontextmanager
async def signed_in(
    chromium: Chromium, gateway: GatewayProcess, token: str = ADMIN_TOKEN
) -> AsyncIterator[Page]:
    async with chromium.page() as page:
        await page.look(width=1440, height=900)
        await page.open(f"http://127.0.0.1:{gateway.control_port}/sign-in")
        sent = json.dumps(json.dumps({"token": token}))
        await page.run(
            "fetch('/api/sign-in', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
            f"body: {sent}}}).then((reply) => reply.status)"
        )
        yield page


async def open_page(gateway: GatewayProcess, page: Page, path: str) -> None:
    await page.open(f"http://127.0.0.1:{gateway.control_port}{path}")


def call(gateway: GatewayProcess, token: str) -> int:
    return chat(gateway, "fake/normal", token=token).status


async def test_a_token_is_made_used_and_revoked(own: GatewayProcess, chromium: Chromium) -> None:
    """Shown once; it calls, and two seconds after its end it does not."""
    async with signed_in(chromium, own) as page:
        await open_page(own, page, "/access/tokens")
        await page.wait("document.querySelector('#tokens tbody tr') !== null")
        await page.click("#add")
        await page.wait("document.querySelectorAll('#add-caller option').length > 0")
        await page.run("document.getElementById('add-caller').value = '[\"virtual_account\",\"app\"]'")
        await page.fill("#add-end", "90d")
        assert await find_faults(page) == []
        await page.click("#add-go")
        await page.wait("document.getElementById('secret-dialog').open")
        token = await page.text("#secret")
        await shoot(page, "tokens-made")
        assert await find_faults(page) == []
        await page.click("#secret-dialog button.main")
        await page.wait("document.getElementById('secret').textContent === ''")
        assert token not in await page.run("document.documentElement.outerHTML")
        await asyncio.to_thread(until, lambda: call(own, token) == 200, "the token works")
        await page.wait("document.querySelector('[aria-label^=\"Revoke t-\"]') !== null")
        await shoot(page, "tokens-list")
        await page.click('[aria-label^="Revoke t-"]')
        await page.wait("document.querySelector('dialog[aria-label] button.danger') !== null")
        began_s = time.monotonic()
        await page.click("dialog[aria-label] button.danger")
        await page.wait("document.querySelector('.toast.good')?.innerText.includes('revoked')")
        await asyncio.to_thread(until, lambda: call(own, token) == 401, "the token is refused")
        print(f"refused {time.monotonic() - began_s:.2f} s after the click")
        assert page.complaints == []


async def test_two_models_answer_side_by_side(own: GatewayProcess, chromium: Chromium) -> None:
    """Streamed, with tokens, cost, times, and a link that leads to the trace of this very user."""
    async with signed_in(chromium, own) as page:
        await open_page(own, page, "/playground?model=fake%2Fnormal&model=lab%2Fnormal")
        await page.wait(READY)
        await page.run("document.querySelector('details.more').open = true")
        await page.fill("#system", "Be brief.")
        await page.fill("#temperature", "0.5")
        await page.fill("#metadata", "project=search\nteam=ü")
        await page.fill("#prompt", "Hello")
        assert "x-tfy-metadata" in await page.text("#code")
        assert "$GATEWAY_TOKEN" in await page.text("#code")
        for language in ("openai", "anthropic"):
            await page.click(f"[data-language={language}]")
            compile(await page.text("#code"), language, "exec")
        await page.click("#run")
        await page.wait(f"{IDLE} && document.querySelectorAll('.turn.assistant p').length === 2")
        shown = "[...document.querySelectorAll('.turn.assistant p')].map((one) => one.textContent)"
        assert await page.run(shown) == [TEXT, TEXT]
        figures = await page.text(".pane .figures")
        assert "11 in, 5 out" in figures
        assert re.search(r"First token [\d.]+ m?s\nTotal [\d.]+ m?s", figures)
        # 11 tokens at 0.1 cent and 5 at 0.2; the other model has no price, and none is made up.
        figures = "[...document.querySelectorAll('.pane .figures')].map((one) => one.innerText)"
        await page.wait(f"{figures}[0].includes('Cost $0.021')")
        assert "$" not in (await page.run(figures))[1]
        for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
            await page.look(width=width, height=900, scheme=scheme)
            # Colours change over a moment.
            await page.wait("document.getAnimations().every((one) => one.playState !== 'running')")
            await shoot(page, f"playground-{width}-{scheme}-asked")
            assert await find_faults(page) == []
            assert await page.run("document.documentElement.scrollWidth") <= width
        link = await page.run("document.querySelector('.pane .figures a').getAttribute('href')")
        await page.click(".pane .figures a")
        await page.wait(f"location.pathname === {json.dumps(link)} && document.readyState === 'complete'")
        trace = await asyncio.to_thread(own.get, f"/api{link}")
        told = json.dumps(trace)
        assert '"gateway.metadata.project": "search"' in told
        assert '"user.id": "environment"' in told or '"environment"' in told
        # What the page asks by itself is no call.
        paths = [one["name"] for one in await asyncio.to_thread(lambda: own.get("/api/traces")["traces"])]
        assert "POST /v1/chat/completions" in paths
        assert "GET /v1/models" not in paths
        assert page.complaints == []


async def test_what_models_say_is_text(
    own: GatewayProcess, chromium: Chromium, upstream: FakeUpstream
) -> None:
    """Answers, errors and names of models are never markup."""
    async with signed_in(chromium, own) as page:
        await open_page(own, page, f"/playground?model=fake%2F{SCRIPTED}")
        await page.wait(READY)
        events = [chunk(SCRIPTED, {"role": "assistant", "content": EVIL}), chunk(SCRIPTED, {}, "stop")]
        upstream.play(SCRIPTED, stream_of(*events))
        await page.fill("#prompt", EVIL)
        await page.click("#run")
        await page.wait(
            f"{IDLE} && document.querySelector('.turn.assistant p').textContent.includes('onerror')"
        )
        await page.fill(".pane input", f"fake/{EVIL}")
        await page.fill("#prompt", "again")
        await page.click("#run")
        await page.wait(f"{IDLE} && document.querySelector('.note.bad') !== null")
        assert await page.run("window.evil === undefined && document.querySelector('main img') === null")
        assert page.complaints == []


@pytest.mark.long
async def test_who_leaves_ends_the_call(
    own: GatewayProcess, chromium: Chromium, upstream: FakeUpstream
) -> None:
    """Stop, or another page: the provider is not kept busy."""
    async with signed_in(chromium, own) as page:
        await open_page(own, page, "/playground?model=fake%2Fhang-mid-stream")
        await page.wait(READY)
        for leave in ("document.getElementById('stop').click()", "location.assign('/monitor')"):
            upstream.forget()
            await page.fill("#prompt", "Hello")
            await page.click("#run")
            await page.wait("[...document.querySelectorAll('.turn.assistant p')].at(-1)?.textContent !== ''")
            await page.run(f"{leave}; true")
            (exchange,) = upstream.exchanges
            assert await asyncio.to_thread(exchange.was_aborted.wait, 10.0)
        assert page.complaints == []


async def test_a_viewer_calls_nothing(own: GatewayProcess, chromium: Chromium) -> None:
    """Unless a user of models has that name; and makes no token."""
    body = {"name": "reader", "role": "viewer"}
    _, made = await asyncio.to_thread(own.control, "POST", "/api/operator-tokens", body)
    async with signed_in(chromium, own, made["token"]) as page:
        await open_page(own, page, "/playground?model=fake%2Fnormal")
        await page.wait("!document.getElementById('trouble').hidden")
        assert "personal access token" in await page.text("#trouble")
        await page.fill("#prompt", "Hello")
        await page.click("#run")
        await page.wait(f"{IDLE} && document.querySelector('.note.bad') !== null")
        await open_page(own, page, "/access/tokens")
        await page.wait("document.querySelector('#tokens tbody tr') !== null")
        assert await page.run("document.getElementById('add') === null")
    headers = {"authorization": f"Bearer {made['token']}"}
    refused = own.control("POST", "/api/tokens", {"virtual_account": "app"}, headers)
    assert (refused[0], refused[1]["error"]["code"]) == (403, "admin_only")
    pat = {"type": "pat", "name": "reader", "user_fqn": "reader", "models": ["fake/normal"]}
    assert own.control("PUT", "/api/manifests/pat/reader", pat)[0] in (200, 201)
    found: Any = until(
        lambda: own.control("GET", "/api/playground/models", headers=headers)[1].get("models"), "the rights"
    )
    assert found == ["fake/normal"]


def ask(gateway: GatewayProcess, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.control_port, timeout=60.0)
    body = json.dumps({"request": {"model": "fake/normal", "messages": []}})
    connection.request("POST", "/api/playground/chat", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_no_new_way_in(gateway: GatewayProcess, tmp_path: Path) -> None:
    """Forged, expired and foreign tokens are 401 at the data plane; the route itself wants a sign-in."""
    key = DashboardKey(gateway.state)
    good = key.mint("ada", is_admin=True, now_s=time.time())
    assert call(gateway, good) == 200
    foreign = DashboardKey(tmp_path).mint("ada", is_admin=True, now_s=time.time())
    expired = key.mint("ada", is_admin=True, now_s=time.time() - LIFE_S - 1)
    viewer = key.mint("ada", is_admin=False, now_s=time.time())
    forged = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert [call(gateway, one) for one in (foreign, expired, viewer, forged, good + "x")] == [401] * 5
    # It is a credential of the data plane alone.
    status, _ = gateway.control("GET", "/api/traces", headers={"authorization": f"Bearer {good}"})
    assert status == 401
    json_type = {"content-type": "application/json"}
    assert ask(gateway, json_type) == 401
    assert good not in gateway.log
