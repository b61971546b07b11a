"""The settings page in a real browser: the six steps of a newcomer, from an empty folder to a taken span."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app.destinations import make_destinations
from gateway.app.otel_test import make_probes
from gateway.config import Config, SecretSource, check
from gateway.control.api import build_app
from gateway.control.auth import Access
from gateway.control.config import ConfigSource
from gateway.control.config_status import ConfigStatus
from gateway.control.telemetry import TelemetrySource
from gateway.delivery.probe import probe_all
from gateway.http_server import HttpServer, bind
from gateway.tracestore.ledger import StoreState, local_report
from tests.rig.browser import Page, browser_page
from tests.rig.otlp_sink import Answer, OtlpSink
from tests.rig.requires import requires
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import Rooms, SpoolCounts

pytestmark = requires("chromium")

KEY = "aWQ6Y2FuYXJ5LXNlY3JldA=="
REFUSED = "rpc error: code = Unauthenticated desc = ApiKey prefix not found, expected ApiKey <value>"


@dataclass
class Plane:
    """A control plane over a folder of manifests, as `app` wires it, in the test's own event loop."""

    folder: Path
    access: Access = field(default_factory=lambda: Access("127.0.0.1"))
    port: int = 0

    def start(self) -> HttpServer:
        services = replace(
            Rooms(manifests=self.folder).services(),
            telemetry=TelemetrySource(
                lambda: {"destinations": self._entries(), "removed": [], "workers": []},
                self._local,
                self._test,
            ),
            config=ConfigSource(lambda: ConfigStatus(self._config().version, 0), list),
        )
        listener = bind("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        server = HttpServer(build_app(services, self.access), listener)
        server.start()
        return server

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port}/controls/settings/otel"

    def _secrets(self) -> SecretSource:
        return SecretSource({}, None)

    def _config(self) -> Config:
        config = check.check(self.folder, strict=False, secrets=self._secrets()).config
        assert config is not None
        return config

    def _entries(self) -> list[dict[str, object]]:
        ledger = local_report("", StoreState(stored=1234), SpoolCounts(created=1234))
        return [
            dict(ledger) | {"name": destination.name, "endpoint": destination.endpoint}
            for destination in make_destinations(self._config(), self._secrets())
        ]

    def _local(self) -> dict[str, Any]:
        return dict(local_report("traces.db", StoreState(), SpoolCounts()))

    async def _test(self, name: str | None) -> Sequence[dict[str, Any]]:
        probes = make_probes(self._config(), self._secrets(), lambda _: None)
        wanted = [probe for probe in probes if name in (None, probe.destination.name)]
        return [result.to_dict() for result in await probe_all(wanted, lambda _: None)]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    plane = Plane(tmp_path)
    server = plane.start()
    yield plane
    server.stop()
    await server.ended(5.0)


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with browser_page() as page:
        yield page


async def shoot(page: Page, name: str) -> None:
    """Keep a picture where `GATEWAY_TEST_SCREENSHOTS` says, for people to look at."""
    if folder := os.environ.get("GATEWAY_TEST_SCREENSHOTS"):
        await page.screenshot(Path(folder) / f"{name}.png")


async def test_the_six_steps(plane: Plane, page: Page) -> None:
    """From the first tick to a span that is taken, with the mistake that most make on the way."""
    with OtlpSink() as sink:
        await page.look()
        await page.open(plane.page)
        await page.wait("!document.getElementById('settings').hidden")
        await shoot(page, "empty")
        await page.click("#elastic")
        await page.fill("#endpoint", sink.traces_url)
        await page.run("document.getElementById('encoding').value = 'proto'")
        await page.fill("#headers .pair input:nth-child(2)", KEY)
        await page.click("#save")
        await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")

        sink.answer(Answer(401, body=REFUSED.encode(), content_type="text/plain"))
        await page.click("#test")
        await page.wait("document.getElementById('result').innerText.includes('failed')")
        said = await page.text("#result")
        assert "lacks the prefix" in said
        assert "Authorization: ApiKey <key>" in said
        await shoot(page, "refused")

        await page.fill("#headers .pair input:nth-child(2)", f"ApiKey {KEY}")
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
    assert "1,234" in await page.text("#rows")
    assert page.complaints == []


async def test_on_a_phone(plane: Plane, page: Page) -> None:
    """Nothing but the ledger's own table is wider than the screen."""
    for scheme in ("light", "dark"):
        await page.look(width=390, height=1400, scheme=scheme)
        await page.open(plane.page)
        await page.wait("!document.getElementById('settings').hidden")
        await page.click("#elastic")
        await shoot(page, f"phone-{scheme}")
        assert await page.run("document.documentElement.scrollWidth") == 390


async def test_problems_are_shown_where_they_are(plane: Plane, page: Page) -> None:
    """In check-config's words, and nothing is written."""
    await page.open(plane.page)
    await page.wait("!document.getElementById('settings').hidden")
    await page.click("#enabled")
    await page.fill("#endpoint", "collector:4318")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('endpoint')")
    assert "https://host" in await page.text("#result")
    assert not (plane.folder / "gateway-otel-config.yaml").exists()
