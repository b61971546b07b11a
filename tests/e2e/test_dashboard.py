"""The dashboard of a real gateway, from a fresh start in a terminal to a trace in an endpoint."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.axe import find_faults
from tests.rig.browser import Chromium, Page
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import ADMIN_TOKEN, GatewayProcess
from tests.rig.manifests import ENVIRONMENT, chat, standard_documents
from tests.rig.otlp_sink import Answer, OtlpSink
from tests.rig.requires import requires

pytestmark = requires("chromium")

PASSWORD = "correct horse battery"
KEY = "aWQ6Y2FuYXJ5LWRhc2hib2FyZA=="
EVIL = "</script><img src=x onerror=window.evil=1>\"'"
SIGNED_IN = "document.readyState === 'complete' && document.querySelector('#operator-menu') !== null"
SETTINGS = "/controls/settings/otel"
LINK = re.compile(r"http://\S+/first#\S+")


@pytest.fixture
def fresh(upstream: FakeUpstream, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway that nobody has signed in to, in a terminal."""
    documents = [
        one for one in standard_documents(upstream.base_url, 1) if one["type"] != "gateway-otel-config"
    ]
    with GatewayProcess(tmp_path / "g", documents, environment=ENVIRONMENT, has_terminal=True) as gateway:
        yield gateway


async def sign_in_first(gateway: GatewayProcess, page: Page) -> None:
    (link,) = LINK.findall(gateway.stdout)
    await page.open(link)
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD)
    await page.click("#go")
    await page.wait(SIGNED_IN)


async def open_settings(gateway: GatewayProcess, page: Page) -> None:
    await page.open(f"http://127.0.0.1:{gateway.control_port}{SETTINGS}")
    await page.wait("!document.getElementById('loaded').hidden")


async def save(page: Page) -> None:
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")


async def test_the_walk(fresh: GatewayProcess, chromium: Chromium) -> None:
    """The link, a password, the six steps, Test, Save, a call: its trace arrives, and the page says so."""
    async with chromium.page() as page:
        with OtlpSink() as sink:
            await page.look(width=1440, height=900)
            await sign_in_first(fresh, page)
            await open_settings(fresh, page)
            await page.click("#traces-enabled")
            await page.run(
                "for (const [id, value] of [['traces-type', 'http'], ['traces-encoding', 'json']]) "
                "document.getElementById(id).value = value"
            )
            await page.fill("#traces-endpoint", sink.traces_url)
            await page.click("[data-add=traces-headers]")
            await page.fill("#traces-headers input:nth-child(1)", "Authorization")
            await page.fill("#traces-headers input:nth-child(2)", f"ApiKey {KEY}")
            await page.click("[data-add=traces-attributes]")
            await page.fill("#traces-attributes input:nth-child(1)", "deployment.environment.name")
            await page.fill("#traces-attributes input:nth-child(2)", "walk")
            await save(page)
            await page.click("#test")
            await page.wait("document.getElementById('result').innerText.includes('ok in')")
            assert (await asyncio.to_thread(chat, fresh, "fake/normal")).status == 200
            await asyncio.to_thread(sink.wait_for_spans, 3)
            resource, _ = sink.spans_with_resource()[-1]
            assert resource["deployment.environment.name"] == "walk"
            assert sink.requests()[-1].headers["authorization"] == f"ApiKey {KEY}"
            await page.wait(
                "document.querySelector('[data-destination=default] .counts dd')?.innerText === '2'"
            )
            assert KEY not in await page.run("document.documentElement.outerHTML")
            assert await find_faults(page) == []
            assert page.complaints == []
    assert KEY not in (fresh.config / "gateway-otel-config.yaml").read_text()
    assert LINK.findall(fresh.stdout)[0] not in fresh.log.replace(fresh.stdout, "")


async def test_what_strangers_write_is_text(fresh: GatewayProcess, chromium: Chromium) -> None:
    """Names, header names, attributes and an endpoint's answer: none becomes markup."""
    async with chromium.page() as page:
        with OtlpSink() as sink:
            await sign_in_first(fresh, page)
            manifest = {
                "type": "gateway-otel-config",
                "name": EVIL,
                "otel_traces_exporter_config": {
                    "type": "http",
                    "endpoint": sink.traces_url,
                    "additional_resource_attributes": {EVIL: EVIL},
                },
            }
            status, saved = await asyncio.to_thread(fresh.control, "PUT", "/api/config/otel", manifest)
            assert status == 200, saved
            sink.answer(*[Answer(400, body=EVIL.encode(), content_type="text/plain")] * 2)
            await open_settings(fresh, page)
            await page.wait("document.querySelectorAll('#destinations article').length > 1")
            await page.click("#test")
            await page.wait("document.getElementById('result').innerText.includes('failed')")
            assert (await asyncio.to_thread(chat, fresh, "fake/normal")).status == 200
            await page.wait("document.getElementById('destinations').innerText.includes('onerror')")
            assert await page.run("document.querySelector('main img') === null")
            assert await page.run("window.evil === undefined")
            assert page.complaints == []


@pytest.mark.long
async def test_a_restart_keeps_who_is_signed_in(fresh: GatewayProcess, chromium: Chromium) -> None:
    """The next start prints no link, and the browser goes on where it was."""
    async with chromium.page() as page:
        await sign_in_first(fresh, page)
        port = fresh.control_port
        await asyncio.to_thread(fresh.stop)
        fresh._options += ("--control-port", str(port))
        before = len(LINK.findall(fresh.stdout))
        await asyncio.to_thread(fresh.start)
        assert len(LINK.findall(fresh.stdout)) == before
        await open_settings(fresh, page)


def test_without_a_terminal_no_link_is_printed(upstream: FakeUpstream, tmp_path: Path) -> None:
    """But how to get one; it works beside the running gateway."""
    with GatewayProcess(
        tmp_path / "g", standard_documents(upstream.base_url, 1), environment=ENVIRONMENT
    ) as gateway:
        assert not LINK.findall(gateway.log)
        (words,) = re.findall(r"gateway (admin link .*)", gateway.stdout)
        made = subprocess.run(
            [sys.executable, "-m", "gateway", *words.split()], capture_output=True, text=True, check=True
        )
        secret = LINK.findall(made.stdout)[0].partition("#")[2]
        status, body = gateway.control("POST", "/api/first", {"link": secret, "password": PASSWORD})
        assert (status, body) == (200, {"name": "admin", "role": "admin"})
        for file, content in gateway.kept():
            for hidden in (secret, PASSWORD, ADMIN_TOKEN):
                assert hidden.encode() not in content, (file, hidden)
        assert json.dumps(secret) not in gateway.log
