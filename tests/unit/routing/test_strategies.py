"""Which strategy a `routing_config` asks for."""

from __future__ import annotations

import typing

import pytest

from gateway.config.manifests.load_balancing import AnyRouting
from gateway.routing.runtime import Runtime
from gateway.routing.strategies import MAKERS, make_strategy

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
