"""Calls by how hard they are, from the manifest to the provider and back: docs/complexity.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.rig.behaviours import completion, hang_after_head, json_reply, provider_error
from tests.rig.fake_upstream import Behaviour, FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import (
    ENVIRONMENT,
    chat,
    openai_account,
    trace_id_of,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import Reply

HARD: Final = "Prove that the square root of 2 is irrational."
EASY: Final = "Hello there"


def says(text: str) -> Behaviour:
    """The model that judges says this."""
    body = completion("judge")
    body["choices"][0]["message"]["content"] = text
    return json_reply(200, body)


def judging(account: str, timeout_ms: int = 30_000, **fallback: str) -> dict[str, Any]:
    return {
        "type": "llm-classifier",
        "model": f"{account}/judge",
        "timeout_ms": timeout_ms,
        "fallback_strategy": fallback or {"type": "heuristic"},
    }


STRATEGIES: Final[dict[str, dict[str, Any] | None]] = {
    "words": None,
    "judged": judging("judged"),
    "fixed": judging("fixed", type="static", default_tier="medium"),
    "hasty": judging("hasty", 100),
}
"""Of each test its account, which is the name of its virtual model too."""


def documents(upstream: FakeUpstream) -> list[Document]:
    """Of each account a model for each tier and one that judges, behind one name."""
    models: dict[str, Document] = {}
    accounts = []
    for name, strategy in STRATEGIES.items():
        models[name] = {
            "type": "complexity-based-routing",
            "load_balance_targets": [
                {"target": f"{name}/{model}", "tier": tier}
                for model, tier in (("small", "simple"), ("middle", "medium"), ("big", "complex"))
            ],
        }
        if strategy is not None:
            models[name]["classification_strategy"] = strategy
        account = openai_account(name, upstream.base_url, ["small", "middle", "big", "judge"])
        for integration in account["integrations"]:
            integration["cost"] = {"metric": "per_1000_tokens", "value": {"input": 1, "output": 2}}
        accounts.append(account)
    return [
        *accounts,
        virtual_models("vm", models),
        virtual_account("app", ["env:APP_TOKEN"], [f"vm/{name}" for name in models]),
    ]


@pytest.fixture(scope="module")
def running(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("complexity")
    with GatewayProcess(folder, documents(upstream_server), environment=ENVIRONMENT) as process:
        yield process


@pytest.fixture
def routes(running: GatewayProcess, upstream: FakeUpstream) -> GatewayProcess:
    """A gateway with a virtual model for each test, over `upstream`."""
    return running


def ask(gateway: GatewayProcess, name: str, question: str, **more: Any) -> Reply:
    reply = chat(gateway, f"vm/{name}", messages=[{"role": "user", "content": question}], **more)
    assert reply.status == 200, reply.body
    return reply


def decided(reply: Reply) -> tuple[str | None, str, str]:
    """Who answered, what the call was found to be, and how."""
    routing = json.loads(reply.header("x-tfy-applied-configurations") or "")["routing"]
    return reply.header("x-tfy-resolved-model"), routing["tier"], routing["cause"]


def test_by_the_words_of_a_call(routes: GatewayProcess, upstream: FakeUpstream) -> None:
    """Nobody is asked for that."""
    assert decided(ask(routes, "words", EASY)) == ("words/small", "simple", "heuristic")
    assert decided(ask(routes, "words", HARD)) == ("words/big", "complex", "heuristic")
    assert decided(ask(routes, "words", EASY, stream=True)) == ("words/small", "simple", "heuristic")
    upstream.play("small", provider_error(503), provider_error(503), provider_error(503))
    assert decided(ask(routes, "words", EASY)) == ("words/middle", "simple", "heuristic")
    assert {exchange.model for exchange in upstream.exchanges} == {"small", "middle", "big"}


def test_by_a_model(routes: GatewayProcess, upstream: FakeUpstream) -> None:
    """What it says decides, against the words too; its call is metered beside the attempt."""
    upstream.play("judge", says("complex"))
    reply = ask(routes, "judged", EASY)
    assert decided(reply) == ("judged/big", "complex", "classifier")
    judged, answered = upstream.exchanges
    assert (judged.model, answered.model) == ("judge", "big")
    assert EASY in judged.json["messages"][1]["content"]
    assert ", classify;dur=" in (reply.header("server-timing") or "")
    spans = [span for span in routes.trace(trace_id_of(reply))["spans"] if span["kind"] == "CLIENT"]
    first, second = (span["attributes"] for span in spans)
    assert (first["gateway.purpose"], first["gateway.classified_as"]) == ("classification", "complex")
    assert ("gateway.attempt" in first, second["gateway.attempt"]) == (False, 1)
    assert first["gen_ai.usage.cost"] > 0
    (server,) = [span for span in routes.trace(trace_id_of(reply))["spans"] if span["kind"] == "SERVER"]
    told = server["attributes"]
    assert told["gateway.attempts"] == 1
    assert told["gateway.cost_usd"] == first["gen_ai.usage.cost"] + second["gen_ai.usage.cost"]
    assert (told["gateway.routing.tier"], told["gateway.routing.tier_cause"]) == ("complex", "classifier")


def test_a_model_that_fails_or_says_nothing_of_use(routes: GatewayProcess, upstream: FakeUpstream) -> None:
    """The caller gets its answer all the same, from whom the fallback says."""
    upstream.play("judge", provider_error(500), says("I cannot say"))
    for _ in range(2):
        assert decided(ask(routes, "fixed", EASY)) == ("fixed/middle", "medium", "default")


def test_a_model_that_hangs(routes: GatewayProcess, upstream: FakeUpstream) -> None:
    """Nobody waits for it longer than its time limit, and after a while not at all."""
    upstream.play("judge", hang_after_head, hang_after_head, hang_after_head)
    waited = []
    for _ in range(5):
        reply = ask(routes, "hasty", EASY)
        assert decided(reply) == ("hasty/small", "simple", "heuristic")
        waited.append(", classify;dur=" in (reply.header("server-timing") or ""))
    assert waited == [True, True, True, False, False]
    asked = [exchange.model for exchange in upstream.exchanges]
    # On a busy machine its time may be over before it is asked.
    assert asked.count("judge") <= 3
    assert asked.count("small") == 5
