"""Calls by how hard they are, from the manifest to the provider and back: docs/complexity.md."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.rig.behaviours import completion, hang_after_head, json_reply, provider_error
from tests.rig.fake_upstream import Behaviour, FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.manifests import chat, openai_account, trace_id_of, virtual_account, virtual_models
from tests.rig.raw_http import Reply

HARD: Final = "Prove that the square root of 2 is irrational."
EASY: Final = "Hello there"


def says(text: str) -> Behaviour:
    """The model that judges says this."""
    body = completion("judge")
    body["choices"][0]["message"]["content"] = text
    return json_reply(200, body)


def documents(upstream: FakeUpstream, strategy: dict[str, Any] | None = None) -> list[Document]:
    """A model of each tier and one that judges, behind one name."""
    routing: Document = {
        "type": "complexity-based-routing",
        "load_balance_targets": [
            {"target": f"fake/{name}", "tier": tier}
            for name, tier in (("small", "simple"), ("middle", "medium"), ("big", "complex"))
        ],
    }
    if strategy is not None:
        routing["classification_strategy"] = strategy
    account = openai_account("fake", upstream.base_url, ["small", "middle", "big", "judge"])
    for integration in account["integrations"]:
        integration["cost"] = {"metric": "per_1000_tokens", "value": {"input": 1, "output": 2}}
    return [
        account,
        virtual_models("vm", {"auto": routing}),
        virtual_account("app", ["env:APP_TOKEN"], ["vm/auto"]),
    ]


def judging(timeout_ms: int = 30_000, **fallback: str) -> dict[str, Any]:
    return {
        "type": "llm-classifier",
        "model": "fake/judge",
        "timeout_ms": timeout_ms,
        "fallback_strategy": fallback or {"type": "heuristic"},
    }


def ask(gateway: GatewayProcess, question: str, **more: Any) -> Reply:
    reply = chat(gateway, "vm/auto", messages=[{"role": "user", "content": question}], **more)
    assert reply.status == 200, reply.body
    return reply


def decided(reply: Reply) -> tuple[str | None, str, str]:
    """Who answered, what the call was found to be, and how."""
    routing = json.loads(reply.header("x-tfy-applied-configurations") or "")["routing"]
    return reply.header("x-tfy-resolved-model"), routing["tier"], routing["cause"]


def test_by_the_words_of_a_call(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Nobody is asked for that."""
    gateway = start_gateway(documents(upstream), workers=1)
    assert decided(ask(gateway, EASY)) == ("fake/small", "simple", "heuristic")
    assert decided(ask(gateway, HARD)) == ("fake/big", "complex", "heuristic")
    assert decided(ask(gateway, EASY, stream=True)) == ("fake/small", "simple", "heuristic")
    upstream.play("small", provider_error(503), provider_error(503), provider_error(503))
    assert decided(ask(gateway, EASY)) == ("fake/middle", "simple", "heuristic")
    assert {exchange.model for exchange in upstream.exchanges} == {"small", "middle", "big"}
    gateway.stop()


def test_by_a_model(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """What it says decides, against the words too; its call is metered beside the attempt."""
    gateway = start_gateway(documents(upstream, judging()), workers=1)
    upstream.play("judge", says("complex"))
    reply = ask(gateway, EASY)
    assert decided(reply) == ("fake/big", "complex", "classifier")
    judged, answered = upstream.exchanges
    assert (judged.model, answered.model) == ("judge", "big")
    assert EASY in judged.json["messages"][1]["content"]
    assert ", classify;dur=" in (reply.header("server-timing") or "")
    spans = [span for span in gateway.trace(trace_id_of(reply))["spans"] if span["kind"] == "CLIENT"]
    first, second = (span["attributes"] for span in spans)
    assert (first["gateway.purpose"], first["gateway.classified_as"]) == ("classification", "complex")
    assert ("gateway.attempt" in first, second["gateway.attempt"]) == (False, 1)
    assert first["gen_ai.usage.cost"] > 0
    (server,) = [span for span in gateway.trace(trace_id_of(reply))["spans"] if span["kind"] == "SERVER"]
    told = server["attributes"]
    assert told["gateway.attempts"] == 1
    assert told["gateway.cost_usd"] == first["gen_ai.usage.cost"] + second["gen_ai.usage.cost"]
    assert (told["gateway.routing.tier"], told["gateway.routing.tier_cause"]) == ("complex", "classifier")
    gateway.stop()


def test_a_model_that_fails_or_says_nothing_of_use(
    start_gateway: StartGateway, upstream: FakeUpstream
) -> None:
    """The caller gets its answer all the same, from whom the fallback says."""
    gateway = start_gateway(documents(upstream, judging(type="static", default_tier="medium")), workers=1)
    upstream.play("judge", provider_error(500), says("I cannot say"))
    for _ in range(2):
        assert decided(ask(gateway, EASY)) == ("fake/middle", "medium", "default")
    gateway.stop()


def test_a_model_that_hangs(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Nobody waits for it longer than its time limit, and after a while not at all."""
    gateway = start_gateway(documents(upstream, judging(100)), workers=1)
    upstream.play("judge", hang_after_head, hang_after_head, hang_after_head)
    for _ in range(5):
        assert decided(ask(gateway, EASY)) == ("fake/small", "simple", "heuristic")
    asked = [exchange.model for exchange in upstream.exchanges]
    assert (asked.count("judge"), asked.count("small")) == (3, 5)
    gateway.stop()
