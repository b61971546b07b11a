"""Which targets of a route a call is given."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from gateway.endpoints.catalogue import CHAT, COMPACTION, EMBEDDING, RESPONSE
from gateway.errors import NoTargetAvailable, SecretMissingError, UnsupportedParameter
from gateway.model import (
    CallFacts,
    Classification,
    FallbackPolicy,
    Plan,
    RouteFacts,
    SessionPlace,
    Skipped,
    SkipReason,
)
from gateway.routing.hedging import QuantileHedge
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, HealthView, Order, Route, Strategy, with_every_plan
from tests.unit.doubles import FakeHealth
from tests.unit.makers import make_caller, make_facts, make_target

FACTS: Final = make_facts(make_caller())
NAMES: Final = ("acct/a", "acct/b", "acct/c")
NEVER_AGAIN: Final = FallbackPolicy(is_candidate=False)


class AsWritten:
    """A strategy that keeps the order and adds *more* to it."""

    type: Final = "as-written"

    def __init__(self, **more: Any) -> None:
        self._more = more

    def order(self, candidates: Sequence[Candidate], _: CallFacts, __: HealthView, /) -> Order:
        return Order(candidates, **self._more)


def candidate(name: str, **changes: Any) -> Candidate:
    return Candidate(make_target(name, **changes), priority=NAMES.index(name))


def make_route(
    *candidates: Candidate,
    health: FakeHealth | None = None,
    strategy: Strategy | None = None,
    hedge: QuantileHedge | None = None,
) -> Route:
    candidates = candidates or tuple(candidate(name) for name in NAMES)
    strategy = strategy or Priority(random.Random(1))
    return Route("vm/chat", candidates, strategy, health or FakeHealth(), hedge_after=hedge)


def test_all_in_the_order_of_the_strategy() -> None:
    """Every target that can be asked, first the one that is to be asked first; and by what rule."""
    plan = make_route(candidate("acct/b"), candidate("acct/a")).plan(FACTS)
    assert [target.name for target in plan.targets] == ["acct/a", "acct/b"]
    assert plan.candidates == ("acct/b", "acct/a")
    assert plan.skipped == ()
    assert plan.route == RouteFacts("vm/chat", "priority-based-routing")
    assert (plan.session, plan.hedge_after_s) == (None, None)


@pytest.mark.parametrize("reason", ["circuit", "cool_down", "drained"])
def test_not_to_be_asked_now(reason: SkipReason) -> None:
    """What health says is skipped, and the reason is told."""
    health = FakeHealth()
    health.reasons["acct/a"] = reason
    plan = make_route(health=health).plan(FACTS)
    assert [target.name for target in plan.targets] == ["acct/b", "acct/c"]
    assert plan.candidates == NAMES
    assert plan.skipped == (Skipped("acct/a", reason),)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param({}, ["acct/b"], id="none"),
        pytest.param({"team": "x", "region": "eu"}, ["acct/a", "acct/b"], id="all, and more than is asked"),
        pytest.param(
            {"team": "x", "region": "eu", "n": "1"}, ["acct/a", "acct/b"], id="others do not matter"
        ),
        pytest.param({"team": "x"}, ["acct/b"], id="one of two"),
        pytest.param({"team": "x", "region": "us"}, ["acct/b"], id="another value"),
    ],
)
def test_for_calls_of_these_metadata_alone(metadata: dict[str, str], expected: list[str]) -> None:
    """All that a target names must be so in the call."""
    picky = Candidate(make_target("acct/a"), metadata={"team": "x", "region": "eu"})
    plan = make_route(picky, candidate("acct/b")).plan(make_facts(make_caller(), metadata=metadata))
    assert [target.name for target in plan.targets] == expected
    assert plan.skipped == (() if len(expected) == 2 else (Skipped("acct/a", "metadata"),))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"missing_secret": "ACCT_KEY is not set"}, "secret_missing", id="no credential"),
        pytest.param({"dialect": "anthropic"}, "filter", id="cannot embed"),
    ],
)
def test_of_no_use_for_what_is_asked(changes: dict[str, Any], reason: SkipReason) -> None:
    """Configuration alone says so, and other endpoints may say otherwise."""
    route = make_route(candidate("acct/a", **changes), candidate("acct/b"))
    for _ in range(2):
        plan = route.plan(make_facts(make_caller(), endpoint=EMBEDDING))
        assert [target.name for target in plan.targets] == ["acct/b"]
        assert plan.skipped == (Skipped("acct/a", reason),)
    assert len(route.plan(make_facts(make_caller(), endpoint=CHAT)).targets) == (
        2 if reason == "filter" else 1
    )


def test_one_plan_for_an_order_that_is_kept() -> None:
    """It is made once, and made anew as soon as a target is not well, or has a hedge."""
    health = FakeHealth()
    kept = Order(tuple(candidate(name) for name in NAMES), is_kept=True)

    class Keeping:
        type: Final = "keeping"

        def order(self, candidates: Sequence[Candidate], _: CallFacts, __: HealthView, /) -> Order:
            return kept if len(candidates) == len(NAMES) else Order(candidates)

    route = make_route(health=health, strategy=Keeping())
    plan = route.plan(FACTS)
    assert [target.name for target in plan.targets] == list(NAMES)
    assert route.plan(FACTS) is plan
    health.reasons["acct/b"] = "circuit"
    assert route.plan(FACTS).skipped == (Skipped("acct/b", "circuit"),)
    health.reasons.clear()
    assert route.plan(FACTS) is plan
    hedged = make_route(
        health=health, strategy=Keeping(), hedge=QuantileHedge(0.95, min_delay_ms=100, max_delay_ms=10_000)
    )
    assert hedged.plan(FACTS) is not hedged.plan(FACTS)


def test_who_may_not_follow_another() -> None:
    """A target that is no candidate for fallbacks is tried first or never."""
    route = make_route(
        candidate("acct/a", fallback=NEVER_AGAIN),
        candidate("acct/b", fallback=NEVER_AGAIN),
        candidate("acct/c"),
    )
    assert [target.name for target in route.plan(FACTS).targets] == ["acct/a", "acct/c"]


def test_what_the_strategy_adds() -> None:
    """Whom it passes over, the call's tier and its session are told on."""
    place = SessionPlace(b"k" * 16, 60)
    skipped = (Skipped("acct/c", "tier"),)
    health = FakeHealth()
    health.reasons["acct/a"] = "circuit"
    strategy = AsWritten(skipped=skipped, session=place, tier="simple")
    plan = make_route(health=health, strategy=strategy).plan(FACTS)
    assert plan.skipped == (Skipped("acct/a", "circuit"), *skipped)
    assert plan.session == place
    assert plan.route == RouteFacts("vm/chat", "as-written", "simple")


def test_hedge_of_the_first() -> None:
    """How long the first may be silent is its own usual time, and there must be a second."""
    health = FakeHealth()
    for at, name in enumerate(NAMES, 1):
        health.first[name, 1200.0] = [at * 1000.0] * 20
    hedge = QuantileHedge(0.95, min_delay_ms=100, max_delay_ms=10_000)
    route = make_route(health=health, hedge=hedge)
    assert route.plan(FACTS).hedge_after_s == 1.0
    health.reasons["acct/a"] = "circuit"
    assert route.plan(FACTS).hedge_after_s == 2.0
    health.reasons["acct/b"] = "circuit"
    assert route.plan(FACTS).hedge_after_s is None
    assert make_route(health=health).plan(FACTS).hedge_after_s is None


@pytest.mark.parametrize(
    ("waits_s", "retry_after"),
    [
        pytest.param({"acct/a": 7.2, "acct/b": 3.1, "acct/c": 9.0}, "4", id="until the first is back"),
        pytest.param({"acct/a": 7.2}, "8", id="of those of which it is known"),
        pytest.param({"acct/b": 99_999.0}, "3600", id="not for ever"),
        pytest.param({}, None, id="nobody knows"),
    ],
)
def test_nobody_left_for_now(waits_s: dict[str, float], retry_after: str | None) -> None:
    """The caller hears who is missing and why, and when it is worth another try."""
    health = FakeHealth()
    health.reasons = {"acct/a": "circuit", "acct/b": "cool_down", "acct/c": "drained"}
    health.waits_s = waits_s
    if "acct/c" in waits_s:
        health.reasons["acct/c"] = "circuit"
    with pytest.raises(NoTargetAvailable) as caught:
        make_route(health=health).plan(FACTS)
    assert "acct/a (circuit), acct/b (cool_down), acct/c" in caught.value.message
    skipped = tuple(Skipped(name, health.reasons[name]) for name in NAMES)
    told = Plan((), NAMES, skipped, RouteFacts("vm/chat", "priority-based-routing"))
    assert caught.value.plan == told, "the trace tells what was considered"
    assert dict(caught.value.headers).get("retry-after") == retry_after


def test_nobody_is_for_such_a_call() -> None:
    """What waiting does not change is not worth sending again."""
    route = make_route(Candidate(make_target("acct/a"), metadata={"env": "prod"}))
    with pytest.raises(NoTargetAvailable) as caught:
        route.plan(FACTS)
    assert caught.value.headers == (("x-should-retry", "false"),)


def test_nobody_has_a_credential() -> None:
    """It is for the operator, and the log says which are missing."""
    route = make_route(
        candidate("acct/a", missing_secret="A_KEY is not set"),
        candidate("acct/b", missing_secret="B_KEY is not set"),
    )
    with pytest.raises(SecretMissingError) as caught:
        route.plan(FACTS)
    assert caught.value.detail == "A_KEY is not set; B_KEY is not set"
    assert "A_KEY" not in caught.value.message


def test_nobody_can_do_it() -> None:
    """It is for the caller: another model may."""
    route = make_route(
        candidate("acct/a", dialect="anthropic"), candidate("acct/b", missing_secret="B_KEY is not set")
    )
    with pytest.raises(UnsupportedParameter, match="No target of vm/chat can do this"):
        route.plan(make_facts(make_caller(), endpoint=EMBEDDING))


def test_who_can_do_what_is_asked_below_one_path() -> None:
    """Creating a response is put into other words, what stands below it is not: each is looked at itself."""
    words = candidate("acct/a", has_responses=False)
    route = make_route(words, candidate("acct/b"))
    caller = make_caller()
    plan = route.plan(make_facts(caller, endpoint=RESPONSE))
    assert [target.name for target in plan.targets] == ["acct/a", "acct/b"]
    plan = route.plan(make_facts(caller, endpoint=COMPACTION))
    assert [target.name for target in plan.targets] == ["acct/b"]
    assert plan.skipped == (Skipped("acct/a", "filter"),)


def test_what_is_changed_in_every_plan() -> None:
    """Also in those that follow when a model has been asked how hard the call is."""
    one, other = Plan((make_target("acct/a"),), NAMES), Plan((make_target("acct/b"),), NAMES)
    asked = Classification(make_target("acct/judge"), 1.0, "?", {"simple": one, "complex": other})

    def without_candidates(plan: Plan) -> Plan:
        return msgspec.structs.replace(plan, candidates=())

    assert with_every_plan(one, without_candidates) == Plan(one.targets, ())
    changed = with_every_plan(msgspec.structs.replace(one, classification=asked), without_candidates)
    assert changed.candidates == ()
    assert changed.classification is not None
    assert changed.classification.plans == {
        "simple": Plan(one.targets, ()),
        "complex": Plan(other.targets, ()),
    }
    assert (changed.classification.target, changed.classification.question) == (asked.target, "?")
