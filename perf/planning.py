"""`python -m perf.planning`: how long planning takes, in this process, without a server around it.

A line for each case: its name, a tab, microseconds for a plan. The best of many batches counts: what disturbs
one makes it longer, and nothing makes it shorter. What a plan looks at is real: the board of health with a
hundred samples for each target, the table of sessions, the headers as they come in.
"""

from __future__ import annotations

import argparse
import logging
import sys
import timeit
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from gateway.edge.client import AsgiHeaders
from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_call import parse_call
from gateway.model import Caller, CallFacts, Outcome, Plan, RetryPolicy, Target, Tier
from gateway.routing.complexity import Complexity
from gateway.routing.direct import Routing
from gateway.routing.health import Health
from gateway.routing.hedging import QuantileHedge
from gateway.routing.latency import Latency
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, Route, SlaCutoff, Strategy
from gateway.routing.sessions import Identifier, Sessions, Sticky
from gateway.routing.weighted import Weighted
from gateway.store.shared_table import table_in_memory
from gateway.store.target_board import board_in_memory

TARGETS: Final = 5
DIRECT: Final = "directly named"
WEIGHTED: Final = "weight-based"
STICKY: Final = "weight-based, sticky"
PRIORITY: Final = "priority-based"
LATENCY: Final = "latency-based"
HEDGED: Final = "weight-based, hedging"
SICK: Final = "weight-based, two circuits open"
ROUTED: Final = (WEIGHTED, STICKY, PRIORITY, LATENCY, HEDGED, SICK)
WORDS: Final = "complexity-based, a sentence"
"""Planning and, most of it, reading and weighing what is asked."""

CASES: Final = (DIRECT, *ROUTED, WORDS)

_BATCH: Final = 250
_NOW_S: Final = 1_776_000_000.0
_SAMPLES: Final = 100
_USER: Final = "x-user"
_BODY: Final = (
    b'{"model":"vm/auto","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":'
    b'"Write a function that reverses a string, and explain why it works."}]}'
)
# About as many as an SDK sends.
_HEADERS: Final = [
    *((b"x-stainless-%d" % number, b"some value of a header") for number in range(14)),
    (_USER.encode(), b"ann"),
]


def make_cases(clock: Callable[[], float] = lambda: _NOW_S) -> dict[str, Callable[[], Plan]]:
    """What makes a plan, by the name of the case."""
    health = Health(board_in_memory(now_s=clock), now_s=clock, random=Random(1))
    targets = [_target(f"acct/model-{number}") for number in range(TARGETS)]
    sick = [_target(f"acct/sick-{number}") for number in range(2)]
    for number, target in enumerate(targets):
        for sample in range(_SAMPLES):
            health.ended(target, Outcome("good", 200, 0.0, 900.0, 200.0 + sample, 10.0 + number / 10))
    for target in sick:
        for _ in range(10):
            health.ended(target, Outcome("sick", 503))
    candidates = [
        Candidate(target, weight=20, priority=number // 2, sla=SlaCutoff(500.0, 20.0))
        for number, target in enumerate(targets)
    ]
    some_sick = [*candidates[:3], *(Candidate(target, weight=20) for target in sick)]
    sessions = Sessions(table_in_memory())
    sticky = Sticky("vm/sticky", [Identifier("headers", _USER)], keep_s=3600, sessions=sessions)
    hedge = QuantileHedge(0.95, min_delay_ms=100, max_delay_ms=10_000)
    strategies: dict[str, Strategy] = {
        WEIGHTED: Weighted(Random(1)),
        STICKY: Weighted(Random(1), sticky),
        PRIORITY: Priority(Random(1)),
        LATENCY: Latency("vm/latency", clock),
    }
    routes = {name: Route(name, candidates, strategy, health) for name, strategy in strategies.items()}
    routes[HEDGED] = Route(HEDGED, candidates, Weighted(Random(1)), health, hedge_after=hedge)
    routes[SICK] = Route(SICK, some_sick, Weighted(Random(1)), health)
    tiers: tuple[Tier, ...] = ("simple", "simple", "medium", "medium", "complex")
    tiered = [Candidate(target, tier=tier) for target, tier in zip(targets, tiers, strict=True)]
    routes[WORDS] = Route(WORDS, tiered, Complexity(), health)
    caller = Caller("app", frozenset([targets[0].name, *routes]))
    call = parse_call(CHAT, _BODY, model=None, account=None)
    facts = CallFacts(caller, CHAT, AsgiHeaders(_HEADERS), {}, call)
    routing = Routing(targets, routes)
    place = routing.plan(STICKY, facts).session
    assert place is not None, "the call has the header"  # noqa: S101 - says it to the type checker
    sessions.keep(place, targets[-1].name)

    def planning(model: str) -> Callable[[], Plan]:
        return lambda: routing.plan(model, facts)

    return {DIRECT: planning(targets[0].name), **{name: planning(name) for name in routes}}


def _target(name: str) -> Target:
    return Target(
        name=name,
        account="acct",
        model_id="model",
        provider="openai",
        peer="openai",
        base_url="https://api.test/v1",
        address="api.test",
        port=443,
        headers=(),
        propagate_trace=False,
        model_types=frozenset({"chat"}),
        retry=RetryPolicy(),
    )


def measure(batches: int) -> Iterator[tuple[str, float]]:
    """Name of each case, and microseconds for one plan."""
    for name, make in make_cases().items():
        seconds = min(timeit.repeat(make, number=_BATCH, repeat=batches))
        yield name, seconds / _BATCH * 1e6


def main() -> int:
    """Measure and print."""
    logging.disable()  # of circuits that are opened on purpose
    parser = argparse.ArgumentParser(prog="python -m perf.planning", description=__doc__)
    parser.add_argument("--batches", type=int, default=400, help=f"of {_BATCH} plans; the best one counts")
    arguments = parser.parse_args()
    for name, plan_us in measure(max(1, arguments.batches)):
        print(f"{name}\t{plan_us:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
