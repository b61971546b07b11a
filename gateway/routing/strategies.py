"""Which strategy a `routing_config` asks for: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.config.manifests.load_balancing import (
    ComplexityBasedRouting,
    LlmClassification,
    RoutingConfig,
    StaticFallback,
    WeightBasedRouting,
    model_name,
)
from gateway.model import Target
from gateway.routing.complexity import Complexity, Judge
from gateway.routing.latency import Latency
from gateway.routing.priority import Priority
from gateway.routing.route import Strategy
from gateway.routing.runtime import Runtime
from gateway.routing.sessions import Identifier, Sticky
from gateway.routing.weighted import Weighted

Targets = Mapping[str, Target]
Maker = Callable[[str, Any, Runtime, Targets], Strategy]
"""Makes a strategy of a route's name, its `routing_config`, what a worker has, and all targets by name."""


def _complexity(_name: str, routing: ComplexityBasedRouting, _runtime: Runtime, targets: Targets) -> Strategy:
    asked = routing.classification_strategy
    if not isinstance(asked, LlmClassification):
        return Complexity()
    fallback = asked.fallback_strategy
    default = fallback.default_tier if isinstance(fallback, StaticFallback) else None
    return Complexity(Judge(targets.get(model_name(asked.model)), asked.timeout_ms / 1000, default))


def _weighted(name: str, routing: WeightBasedRouting, runtime: Runtime, _targets: Targets) -> Strategy:
    sticky = routing.sticky_routing
    if sticky is None:
        return Weighted(runtime.random)
    identifiers = [Identifier(one.source, one.key) for one in sticky.session_identifiers]
    return Weighted(
        runtime.random, Sticky(name, identifiers, keep_s=sticky.ttl_seconds, sessions=runtime.sessions)
    )


# Any: each takes its own kind of `routing_config`, which its key names.
MAKERS: Final[dict[str, Maker]] = {
    "weight-based-routing": _weighted,
    "latency-based-routing": lambda name, _routing, runtime, _targets: Latency(name, runtime.now_s),
    "priority-based-routing": lambda _name, _routing, runtime, _targets: Priority(runtime.random),
    "complexity-based-routing": _complexity,
}


def make_strategy(name: str, routing: RoutingConfig, runtime: Runtime, targets: Targets) -> Strategy:
    """What orders the targets of the route *name*."""
    return MAKERS[routing.type](name, routing, runtime, targets)
