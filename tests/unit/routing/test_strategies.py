"""Which strategy a `routing_config` asks for."""

from __future__ import annotations

import typing

import pytest

from gateway.config.manifests.load_balancing import AnyRouting
from gateway.model import Tier
from gateway.routing.route import Candidate
from gateway.routing.runtime import Runtime
from gateway.routing.strategies import MAKERS, make_strategy
from tests.unit.doubles import FakeHealth
from tests.unit.makers import make_call, make_caller, make_facts, make_target

ROUTINGS = {
    typing.get_args(model.model_fields["type"].annotation)[0]: model for model in typing.get_args(AnyRouting)
}


def test_every_strategy_has_its_maker() -> None:
    """One that can be written can be made."""
    assert set(MAKERS) == set(ROUTINGS)


@pytest.mark.parametrize("kind", MAKERS)
def test_strategies(kind: str) -> None:
    """Each calls itself what the manifest does."""
    target = {"target": "a/b", "weight": 1, "tier": "simple"}
    routing = ROUTINGS[kind].model_validate({"type": kind, "load_balance_targets": [target]})
    assert make_strategy("vm/chat", routing, Runtime(), {}).type == kind


@pytest.mark.parametrize(
    ("fallback", "default"),
    [({"type": "heuristic"}, None), ({"type": "static", "default_tier": "medium"}, "medium")],
    ids=["heuristic", "static"],
)
def test_model_that_judges(fallback: dict[str, str], default: Tier | None) -> None:
    """It is a target like any other, named as those are; while it is not there its fallback holds."""
    written = {
        "type": "complexity-based-routing",
        "classification_strategy": {
            "type": "llm-classifier",
            "model": "default:openai:acct:model:judge",
            "timeout_ms": 1500,
            "fallback_strategy": fallback,
        },
        "load_balance_targets": [{"target": "a/b", "tier": "simple"}],
    }
    routing = ROUTINGS["complexity-based-routing"].model_validate(written)
    judge = make_target("acct/judge")
    candidates = [Candidate(make_target("acct/small"), tier="simple"), Candidate(make_target("acct/big"))]
    facts = make_facts(make_caller(), call=make_call())
    for targets, asked in (({"acct/judge": judge}, judge), ({}, None)):
        order = make_strategy("vm/auto", routing, Runtime(), targets).order(candidates, facts, FakeHealth())
        assert (order.asking and (order.asking.target, order.asking.timeout_s)) == (asked and (asked, 1.5))
        assert (order.tier, order.cause) == (
            ("simple", "heuristic") if default is None else (default, "default")
        )
