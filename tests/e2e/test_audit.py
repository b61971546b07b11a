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
    until(lambda: len(actions(gateway)) == 3, what="the change to be noted")
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


def test_who_is_not_let_in_is_noted(gateway: GatewayProcess) -> None:
    """A wrong password and a token that is none, a moment later, and without the secrets."""
    wrong = {"user": "admin", "password": "canary-wrong-password"}
    assert gateway.control("POST", "/api/sign-in", wrong)[0] == 401
    headers = {"authorization": "Bearer canary-wrong-token"}
    assert gateway.control("GET", "/api/traces", headers=headers)[0] == 401

    def noted() -> Any:
        entries = gateway.get("/api/audit")["entries"]
        found = {entry["action"]: entry for entry in entries}
        return found if found.keys() >= {"sign_in.failed", "token.refused"} else None

    found = until(noted, what="both to be noted")
    assert found["sign_in.failed"]["by"] == {"kind": "control_api", "address": "127.0.0.1"}
    assert found["sign_in.failed"]["count"] >= 1
    assert "canary" not in str(found)
