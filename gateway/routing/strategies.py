"""Which strategy a `routing_config` asks for: one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.config.manifests.load_balancing import RoutingConfig, WeightBasedRouting
from gateway.routing.latency import Latency
from gateway.routing.priority import Priority
from gateway.routing.route import Strategy
from gateway.routing.runtime import Runtime
from gateway.routing.sessions import Identifier, Sticky
from gateway.routing.weighted import Weighted

Maker = Callable[[str, Any, Runtime], Strategy]
"""Makes a strategy of a route's name, its `routing_config`, and what a worker has."""


def _weighted(name: str, routing: WeightBasedRouting, runtime: Runtime) -> Strategy:
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
    "latency-based-routing": lambda name, _routing, runtime: Latency(name, runtime.now_s),
    "priority-based-routing": lambda _name, _routing, runtime: Priority(runtime.random),
}


def make_strategy(name: str, routing: RoutingConfig, runtime: Runtime) -> Strategy:
    """What orders the targets of the route *name*."""
    return MAKERS[routing.type](name, routing, runtime)
