"""Virtual models and load-balancing rules, from the manifest to the provider and back: docs/routing.md."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    NARROW_TOKEN,
    PROVIDER_KEY,
    bearer,
    chat,
    openai_account,
    trace_id_of,
    virtual_account,
)
from tests.rig.raw_http import Reply
from tests.rig.until import until

# Far above the two seconds that are promised, so that a busy machine does not fail the test.
IN_FORCE_S: Final = 60.0
NAMES: Final = ("vm/chat", "short", "fake/old")


def by_weight(*targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "weight-based-routing",
        "load_balance_targets": [{"weight": 1, **target} for target in targets],
        **more,
    }


def documents(upstream: FakeUpstream, routing: dict[str, Any], *more: Document) -> list[Document]:
    """An account with two models, a virtual model, who may use it, and who may use one of the models."""
    model = {
        "type": "integration/model/virtual",
        "name": "chat",
        "slug": "short",
        "alias": ["fake/old"],
        "model_types": ["chat"],
        "routing_config": routing,
    }
    return [
        openai_account("fake", upstream.base_url, ["first", "second"]),
        {"type": "provider-account/virtual-model", "name": "vm", "integrations": [model]},
        virtual_account("app", ["env:APP_TOKEN"], ["short"]),
        virtual_account("narrow", ["env:NARROW_TOKEN"], ["fake/first"]),
        *more,
    ]


def get(gateway: GatewayProcess, path: str, token: str = APP_TOKEN) -> Reply:
    with gateway.connect() as connection:
        return connection.exchange("GET", path, [bearer(token)])


def answered_by(gateway: GatewayProcess, model: str, **more: Any) -> str | None:
    reply = chat(gateway, model, **more)
    assert reply.status == 200, reply.body
    return reply.header("x-tfy-resolved-model")


def test_one_name_for_several_models(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """By each of its names, for who may, without the right to what is behind it."""
    routing = by_weight({"target": "fake/first", "weight": 3}, {"target": "fake/second", "weight": 1})
    gateway = start_gateway(documents(upstream, routing), workers=1)
    for name in NAMES:
        assert answered_by(gateway, name) in ("fake/first", "fake/second")
        assert chat(gateway, name, token=NARROW_TOKEN).status == 403
        assert get(gateway, f"/v1/models/{name}").json["id"] == "vm/chat"
    assert chat(gateway, "fake/first").status == 403
    assert [model["id"] for model in get(gateway, "/v1/models").json["data"]] == ["vm/chat"]
    assert [model["id"] for model in get(gateway, "/v1/models", NARROW_TOKEN).json["data"]] == ["fake/first"]
    # What providers are asked for is their own model, whichever name was called.
    assert {exchange.model for exchange in upstream.exchanges} <= {"first", "second"}
    gateway.stop()


def test_what_a_target_overrides(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Parameters and headers reach that provider; the key that the route has for it is shown nowhere."""
    own_key = "sk-canary-of-the-route-0099"
    target = {
        "target": "fake/first",
        "override_params": {"temperature": 0.25, "user": None},
        "headers_override": {
            "set": {"authorization": "Bearer env:ROUTE_KEY", "x-team": "ml"},
            "remove": ["openai-beta"],
        },
    }
    gateway = start_gateway(
        documents(upstream, by_weight(target)), workers=1, environment={**ENVIRONMENT, "ROUTE_KEY": own_key}
    )
    reply = chat(gateway, "short", headers=[("openai-beta", "b")], temperature=1, user="u", seed=7)
    assert reply.status == 200
    (exchange,) = upstream.exchanges
    assert exchange.header("authorization") == f"Bearer {own_key}"
    assert (exchange.header("x-team"), exchange.header("openai-beta")) == ("ml", None)
    assert exchange.json["temperature"] == 0.25
    assert exchange.json["seed"] == 7
    assert "user" not in exchange.json
    shown = json.dumps(gateway.trace(trace_id_of(reply))) + json.dumps(gateway.get("/api/config"))
    assert own_key not in shown + gateway.log + gateway.stdout
    assert PROVIDER_KEY not in shown
    gateway.stop()


def test_sessions_stay(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """On every worker and after a restart, whatever the weights; calls without it are spread."""
    sticky = {"ttl_seconds": 600, "session_identifiers": [{"source": "headers", "key": "x-user"}]}
    routing = by_weight({"target": "fake/first"}, {"target": "fake/second"}, sticky_routing=sticky)
    gateway = start_gateway(documents(upstream, routing), workers=2)
    # So many that chance sends them all to one target in no run.
    users = [f"user-{number}" for number in range(30)]
    first = {user: answered_by(gateway, "short", headers=[("x-user", user)]) for user in users}
    assert set(first.values()) == {"fake/first", "fake/second"}
    gateway.stop()
    # Where a session began counts, not what would be chosen now.
    routing["load_balance_targets"][0]["weight"] = 1_000_000
    gateway.write_config(documents(upstream, routing))
    gateway.start()
    for _ in range(3):
        for user in users:
            assert answered_by(gateway, "short", headers=[("x-user", user)]) == first[user]
    assert answered_by(gateway, "short", headers=[("x-user", "new")]) == "fake/first"
    gateway.stop()


def test_a_change_is_in_force_or_refused_whole(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Other targets on every worker; one that there is not changes nothing, and is told with its line."""
    gateway = start_gateway(documents(upstream, by_weight({"target": "fake/first"})), workers=2)
    assert answered_by(gateway, "short") == "fake/first"
    gateway.write_config(documents(upstream, by_weight({"target": "fake/second"})))
    until(
        lambda: {answered_by(gateway, "short") for _ in range(16)} == {"fake/second"},
        "both workers to have the change",
        timeout_s=IN_FORCE_S,
    )
    gateway.write_config(documents(upstream, by_weight({"target": "fake/secnd"})))
    rejected = until(
        lambda: gateway.get("/api/config")["last_rejected"], "the next to be refused", timeout_s=IN_FORCE_S
    )
    (error,) = rejected["errors"]
    assert error["line"] > 1
    assert error["path"] == "integrations.0.routing_config.load_balance_targets.0.target"
    assert (error["message"], error["fix"]) == (
        "there is no model 'fake/secnd'",
        "Did you mean 'fake/second'?",
    )
    assert {answered_by(gateway, "short") for _ in range(16)} == {"fake/second"}
    gateway.stop()


def test_metadata_decide(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A target for some calls, and a rule for some calls of a model, the virtual one among them."""
    rules: Document = {
        "type": "gateway-load-balancing-config",
        "name": "rules",
        "rules": [
            {
                "id": "to-second",
                "when": {"subjects": ["virtualaccount:narrow"], "metadata": {"env": "dev"}},
                **by_weight({"target": "fake/second"}),
            },
            {"id": "virtual", "when": {"models": ["short"], "metadata": {"env": "test"}},
             **by_weight({"target": "fake/second"})},
        ],
    }  # fmt: skip
    routing = by_weight(
        {"target": "fake/first"}, {"target": "fake/second", "weight": 1000, "metadata_match": {"env": "prod"}}
    )
    gateway = start_gateway(documents(upstream, routing, rules), workers=1)

    def metadata(**values: str) -> list[tuple[str, str]]:
        return [("x-tfy-metadata", json.dumps(values))]

    assert Counter(answered_by(gateway, "short") for _ in range(10)) == {"fake/first": 10}
    assert "fake/second" in {answered_by(gateway, "short", headers=metadata(env="prod")) for _ in range(10)}
    for name in NAMES:
        assert answered_by(gateway, name, headers=metadata(env="test")) == "fake/second"
    reply = chat(gateway, "fake/first", token=NARROW_TOKEN, headers=metadata(env="dev"))
    assert reply.header("x-tfy-resolved-model") == "fake/second"
    (server,) = [span for span in gateway.trace(trace_id_of(reply))["spans"] if span["kind"] == "SERVER"]
    assert server["attributes"]["gateway.routing.route"] == "to-second"
    assert server["attributes"]["gateway.model.asked"] == "fake/first"
    assert answered_by(gateway, "fake/first", token=NARROW_TOKEN) == "fake/first"
    gateway.stop()
