"""The settings page in a real browser: the six steps of a newcomer, from an empty folder to a taken span."""

from __future__ import annotations

import json

import pytest
import yaml

from gateway.control.operator import Role
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
        # What is not saved is tested as it stands in the form.
        sink.answer(Answer(401, body=REFUSED.encode(), content_type="text/plain"))
        await page.click("#test")
        await page.wait("document.getElementById('result').innerText.includes('failed')")
        said = await page.text("#result")
        assert "lacks the prefix" in said
        assert "Authorization: ApiKey <key>" in said
        await shoot(page, "refused")
        assert not (plane.folder / "gateway-otel-config.yaml").exists()

        await page.fill("#traces-headers .pair input:nth-child(2)", f"ApiKey {KEY}")
        await page.click("#test")
        await page.wait("document.getElementById('result').innerText.includes('not saved yet')")
        await page.click("#save")
        await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")
        # The header is what is saved of it, a reference; another attribute is not saved yet.
        await page.fill("#traces-attributes .pair input:nth-child(2)", "staging")
        await page.click("#test")
        await page.wait("document.getElementById('result').innerText.includes('ok in')")
        (resource, span), (again, _) = sink.spans_with_resource()
        assert again["deployment.environment.name"] == "staging"
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


@pytest.mark.parametrize("button", ["save", "test"])
async def test_nothing_is_enabled(plane: Plane, page: Page, button: str) -> None:
    """A manifest of nothing would switch off what `OTEL_*` variables say, and send nothing itself."""
    await plane.sign_in(page)
    await page.open(plane.origin + "/controls/settings/otel")
    await page.wait("!document.getElementById('loaded').hidden")
    await page.click(f"#{button}")
    await page.wait("document.getElementById('result').innerText !== ''")
    assert await page.text("#result") == f"There is nothing to {button}\nEnable an exporter first."
    assert not (plane.folder / "gateway-otel-config.yaml").exists()


async def test_on_a_phone(plane: Plane, page: Page) -> None:
    """Nothing but the ledger's own table is wider than the screen."""
    await plane.sign_in(page)
    await page.look(width=390, height=1400)
    await page.open(plane.origin + PAGE)
    await page.wait("!document.getElementById('loaded').hidden")
    await choose(page, "#preset", "elastic")
    for scheme in ("light", "dark"):
        await page.look(width=390, height=1400, scheme=scheme)
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


async def test_all_of_a_manifest_comes_back_as_it_was_saved(plane: Plane, page: Page) -> None:
    """Sampling, filters, content, certificates and metrics; what the page does not show stays."""
    await plane.sign_in(page)
    manifest = plane.folder / "otel.yaml"
    manifest.write_text(
        "type: gateway-otel-config\nname: elastic\notel_traces_exporter_config:\n  type: http\n"
        "  endpoint: http://127.0.0.1:1/v1/traces\n  batch: {max_spans: 7}  # kept\n"
    )
    await page.look(width=1440, height=900)
    await page.open(plane.origin + PAGE + "?name=elastic")
    await page.wait("!document.getElementById('loaded').hidden")
    await page.run("for (const one of document.querySelectorAll('details.more')) one.open = true")
    await page.fill("#sampling-ratio", "12.5")
    await page.fill("#sampling-slower", "900")
    await page.click("#sampling-errors")
    await page.click("#sampling-parent")
    await page.click("#exclude")
    await page.click("[data-add=filters]")
    await page.fill("#filters input:nth-child(1)", "gen_ai.operation.name")
    await page.fill("#filters input:nth-child(2)", "chat, embeddings")
    await page.click("[data-add=traces-headers]")
    await page.fill("#traces-headers input:nth-child(1)", "x-key")
    await page.fill("#traces-headers input:nth-child(2)", KEY)
    await page.click("#metrics-enabled")
    await page.click("#metrics-copy")
    await page.fill("#metrics-headers input:nth-child(2)", KEY)
    await page.click("#metrics-delta")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")

    text = manifest.read_text()
    assert KEY not in text
    saved = yaml.safe_load(text)
    traces, metrics = saved["otel_traces_exporter_config"], saved["otel_metrics_exporter_config"]
    assert traces["batch"] == {"max_spans": 7}
    assert traces["sampling"] == {
        "ratio": 0.125,
        "keep_slower_than_ms": 900,
        "keep_errors": True,
        "parent_based": False,
    }
    assert traces["when"] == [
        {
            "field": "spanAttributes",
            "key": "gen_ai.operation.name",
            "operator": "IN",
            "value": ["chat", "embeddings"],
        }
    ]
    assert traces["exclude_request_data"] is True
    assert metrics["endpoint"] == "http://127.0.0.1:1/v1/metrics"
    assert metrics["export_delta_metrics"] is True

    await page.open(plane.origin + PAGE + "?name=elastic")
    await page.wait("!document.getElementById('loaded').hidden")
    shown = "[...document.querySelectorAll('#settings input')].map((one) => one.value).join('|')"
    values = await page.run(shown)
    assert "12.5" in values
    assert "chat, embeddings" in values
    assert KEY not in values
    before = manifest.read_text()
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")
    assert yaml.safe_load(manifest.read_text()) == yaml.safe_load(before)
    assert page.complaints == []


FILTERS = """\
type: gateway-otel-config
name: elastic
otel_traces_exporter_config:
  type: http
  endpoint: http://127.0.0.1:1/v1/traces
  when:
    - {key: gateway.metadata.place, value: ["Paris, France", " spaced "]}
    - {key: gateway.team, value: [a, b]}
    - {key: gateway.team, value: [b, c]}
"""


async def test_filters_that_nobody_touched_stay(plane: Plane, page: Page) -> None:
    """With commas and blanks in their texts, and two of one attribute: else other spans are sent."""
    await plane.sign_in(page)
    manifest = plane.folder / "otel.yaml"
    manifest.write_text(FILTERS)
    await page.open(plane.origin + PAGE)
    await page.wait("!document.getElementById('loaded').hidden")
    await page.fill("#traces-endpoint", "http://127.0.0.1:2/v1/traces")
    await page.run("for (const one of document.querySelectorAll('details.more')) one.open = true")
    await page.fill("#filters .pair:nth-child(3) input:nth-child(2)", "b, d")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")
    before = yaml.safe_load(FILTERS)["otel_traces_exporter_config"]["when"]
    saved = yaml.safe_load(manifest.read_text())["otel_traces_exporter_config"]["when"]
    assert saved[:2] == before[:2]
    assert (saved[2]["key"], saved[2]["value"]) == ("gateway.team", ["b", "d"])


async def test_what_is_typed_is_not_left_by_accident(plane: Plane, page: Page) -> None:
    """By another destination, or because the session has ended."""
    await plane.sign_in(page)
    (plane.folder / "otel.yaml").write_text(FILTERS)
    await page.open(plane.origin + PAGE)
    await page.wait("document.querySelectorAll('#destination option').length === 2")
    typed = "http://127.0.0.1:2/v1/traces"
    await page.fill("#traces-endpoint", typed)
    new = await page.run("document.getElementById('destination').options[1].value")
    await choose(page, "#destination", new)
    await page.click("dialog[open] button:not(.main)")
    # The dialog is closed before whoever waits for its answer goes on.
    await page.wait("document.getElementById('destination').value === 'elastic'")
    assert await page.run("document.getElementById('traces-endpoint').value") == typed
    accounts = plane.access.entrance.accounts
    for token in accounts.tokens():
        accounts.revoke_token(token.id)
    await page.click("#save")
    await page.wait("document.getElementById('toasts').innerText.includes('Your session has ended')")
    assert await page.text("#result") == ""
    await plane.sign_in(page)
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")
    await page.fill("#traces-endpoint", "http://127.0.0.1:3/v1/traces")
    await choose(page, "#destination", new)
    await page.click("dialog[open] button.main")
    await page.wait("document.getElementById('traces-endpoint').value === ''")


async def test_a_new_one_with_a_name_that_is_taken(plane: Plane, page: Page) -> None:
    """It is told, and the one of that name stays as it is."""
    await plane.sign_in(page)
    manifest = plane.folder / "otel.yaml"
    text = (
        "type: gateway-otel-config\nname: elastic\notel_traces_exporter_config:\n  type: http\n"
        "  endpoint: http://127.0.0.1:1/v1/traces\n"
    )
    manifest.write_text(text)
    await page.open(plane.origin + PAGE)
    await page.wait("!document.getElementById('loaded').hidden")
    await page.wait("document.querySelectorAll('#destination option').length === 2")
    new = await page.run("document.getElementById('destination').options[1].value")
    await choose(page, "#destination", new)
    await page.wait("!document.getElementById('name-row').hidden")
    await page.fill("#name", "elastic")
    await page.click("#traces-enabled")
    await page.fill("#traces-endpoint", "http://127.0.0.1:3/v1/traces")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('called elastic already')")
    assert manifest.read_text() == text
    await page.fill("#name", "another")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('Saved and in force')")
    assert manifest.read_text() == text


async def test_two_who_edit(plane: Plane, page: Page) -> None:
    """The second is told, and nothing is lost."""
    await plane.sign_in(page)
    manifest = plane.folder / "otel.yaml"
    text = (
        "type: gateway-otel-config\nname: elastic\notel_traces_exporter_config:\n  type: http\n"
        "  endpoint: http://127.0.0.1:1/v1/traces\n"
    )
    manifest.write_text(text)
    await page.open(plane.origin + PAGE)
    await page.wait("!document.getElementById('loaded').hidden")
    manifest.write_text(text.replace(":1/", ":2/"))
    await page.fill("#traces-endpoint", "http://127.0.0.1:3/v1/traces")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('Somebody else changed it')")
    assert ":2/" in manifest.read_text()


async def test_a_viewer_sees_and_changes_nothing(plane: Plane, page: Page) -> None:
    """Neither by the form, nor by asking the API from the page."""
    await plane.sign_in(page, Role.VIEWER)
    await page.look(width=1440, height=900)
    await page.open(plane.origin + PAGE)
    await page.wait("!document.getElementById('loaded').hidden")
    await page.wait("document.querySelectorAll('#destinations article').length > 0")
    await shoot(page, "viewer")
    assert await page.run("document.getElementById('save').disabled")
    assert await page.run("document.getElementById('traces-enabled').disabled")
    asked = (
        f"import('{plane.origin}/static/x/js/api.js').then((api) => "
        "api.ask('PUT', '/api/config/otel', {type: 'gateway-otel-config'}))"
        ".then(() => 'done', (error) => error.code)"
    )
    assert await page.run(asked) == "admin_only"
    assert not (plane.folder / "gateway-otel-config.yaml").exists()


async def test_a_change_on_disk_shows(plane: Plane, page: Page) -> None:
    """In a form that nobody has touched; what somebody has typed stays, and the change is told."""
    file = plane.folder / "otel.yaml"
    text = (
        "type: gateway-otel-config\nname: elastic\notel_traces_exporter_config:\n  type: http\n"
        "  endpoint: http://127.0.0.1:1/one\n"
    )
    file.write_text(text)
    await plane.sign_in(page)
    await page.open(plane.origin + PAGE + "?name=elastic")
    await page.wait("!document.getElementById('loaded').hidden")
    file.write_text(text.replace("/one", "/two"))
    await page.wait("document.getElementById('traces-endpoint').value.endsWith('/two')")
    await page.fill("#traces-endpoint", "http://127.0.0.1:1/mine")
    file.write_text(text.replace("/one", "/three"))
    await page.wait("document.getElementById('result').innerText.includes('changed meanwhile')")
    assert await page.run("document.getElementById('traces-endpoint').value") == "http://127.0.0.1:1/mine"
    assert page.complaints == []


@pytest.mark.parametrize("share", ["5e", "Infinity"])
async def test_a_share_that_is_no_number(plane: Plane, page: Page, share: str) -> None:
    """It is refused at its field, and not taken for nothing, which is all."""
    await plane.sign_in(page)
    await page.open(plane.origin + PAGE)
    await page.wait("!document.getElementById('loaded').hidden")
    await page.click("#traces-enabled")
    await page.fill("#traces-endpoint", "http://127.0.0.1:1/v1/traces")
    await page.run("for (const one of document.querySelectorAll('details.more')) one.open = true")
    await page.fill("#sampling-ratio", share)
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('expected a number')")
    assert await page.run("document.getElementById('sampling-ratio').getAttribute('aria-invalid')") == "true"
    assert not (plane.folder / "gateway-otel-config.yaml").exists()


@pytest.mark.parametrize(
    "exporter",
    [
        "x",
        {"when": [None]},
        {"when": {"a": 1}, "sampling": {"ratio": "x"}},
        {"when": [{"key": [], "value": "x"}]},
    ],
    ids=["a text", "an empty filter", "filters of no list", "a filter of texts"],
)
async def test_a_destination_of_odd_shapes(plane: Plane, page: Page, exporter: object) -> None:
    """It is shown as far as it has a place, so that it can be mended; saving tells what is wrong."""
    body = {"type": "gateway-otel-config", "name": "default", "otel_traces_exporter_config": exporter}
    (plane.folder / "otel.json").write_text(json.dumps(body))
    await plane.sign_in(page)
    await page.open(plane.origin + "/controls/settings/otel")
    await page.wait("!document.getElementById('loaded').hidden")
    await page.click("#save")
    await page.wait("document.getElementById('result').innerText.includes('otel_traces_exporter_config')")
