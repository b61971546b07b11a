"""Who changed what, as the control API says it: docs/control-api.md."""

from __future__ import annotations

from typing import Any

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, chat, openai_account, trace_id_of, virtual_account
from tests.rig.until import until

LITERAL = "canary-literal-token-0011"


def documents(upstream: FakeUpstream, *models: str, **more: Any) -> list[Document]:
    return [
        openai_account("fake", upstream.base_url, ["normal"]),
        virtual_account("app", ["env:APP_TOKEN", LITERAL], models or ["fake/*"], **more),
    ]


def actions(gateway: GatewayProcess) -> list[str]:
    """Oldest first."""
    return [entry["action"] for entry in reversed(gateway.get("/api/audit")["entries"])]


def test_changes_are_noted(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """While it runs and while it does not, with who asked; secrets are in none of it."""
    gateway = start_gateway(documents(upstream))
    assert actions(gateway) == ["config.accepted"]
    gateway.write_config(documents(upstream, "fake/normal"))
    until(lambda: len(actions(gateway)) > 1, timeout_s=10.0, what="the change to be noted")
    gateway.control("POST", "/api/targets/drain", {"target": "fake/normal"})
    gateway.stop()
    gateway.write_config(documents(upstream, "fake/normal", tags={"team": "ml"}))
    gateway.start()
    assert actions(gateway) == [
        "config.accepted",
        "manifest.changed",
        "config.accepted",
        "target.drained",
        "manifest.changed",
        "config.accepted",
    ]
    found = gateway.get("/api/audit?action=manifest.changed")["entries"]
    assert [entry["paths"] for entry in found] == [["tags"], ["models.0"]]
    assert found[0]["version"] == gateway.get("/api/config")["version"]
    assert found[1]["before"]["tokens"] == ["env:APP_TOKEN", "***"]
    log = (gateway.state / "audit" / "audit.jsonl").read_text()
    assert LITERAL not in log
    assert APP_TOKEN not in log


def test_given_metadata(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Tags over a rule over the environment over what the caller writes, on the spans of a call."""
    rule = {"id": "all", "when": {}, "metadata_override": {"cost_center": "42", "team": "rule"}}
    manifests = [
        *documents(upstream, tags={"team": "ml"}),
        {"type": "gateway-metadata-config", "name": "m", "rules": [rule]},
    ]
    environ = {**ENVIRONMENT, "DEFAULT_GATEWAY_METADATA": '{"region":"eu","cost_center":"0"}'}
    gateway = start_gateway(manifests, environment=environ)
    written = ("x-tfy-metadata", '{"team":"mine","job":"j"}')
    reply = chat(gateway, "fake/normal", headers=[written])
    assert reply.status == 200
    for span in gateway.trace(trace_id_of(reply))["spans"]:
        found = {key: value for key, value in span["attributes"].items() if "gateway.metadata." in key}
        assert found == {
            "gateway.metadata.region": "eu",
            "gateway.metadata.cost_center": "42",
            "gateway.metadata.team": "ml",
            "gateway.metadata.job": "j",
        }
