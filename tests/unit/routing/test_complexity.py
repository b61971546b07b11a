"""Simple calls go to one target, hard ones to another."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.errors import NoTargetAvailable
from gateway.model import CallFacts, FallbackPolicy, Plan, Skipped, SkipReason, Tier
from gateway.routing.complexity import Complexity, Judge
from gateway.routing.route import Candidate, Route
from tests.unit.doubles import FakeHealth
from tests.unit.makers import make_call, make_caller, make_facts, make_target

SIMPLE: Final = "Hello"
MEDIUM: Final = "Write a Python function that reverses a string."
COMPLEX: Final = "Prove that the square root of 2 is irrational."
NEVER: Final = FallbackPolicy(is_candidate=False)
JUDGE: Final = make_target("acct/judge")


def asking(question: object) -> CallFacts:
    """Facts of a call that asks this."""
    call = make_call(messages=[{"role": "user", "content": question}])
    return make_facts(make_caller(), call=call)


def candidate(name: str, tier: Tier, **changes: Any) -> Candidate:
    return Candidate(make_target(f"acct/{name}", **changes), tier=tier)


CANDIDATES: Final = (candidate("big", "complex"), candidate("mid", "medium"), candidate("small", "simple"))


def plan_for(
    question: object,
    *candidates: Candidate,
    judge: Judge | None = None,
    health: FakeHealth | None = None,
) -> Plan:
    route = Route("vm/auto", candidates or CANDIDATES, Complexity(judge), health or FakeHealth())
    return route.plan(asking(question))


def names(plan: Plan) -> list[str]:
    return [target.name.removeprefix("acct/") for target in plan.targets]


@pytest.mark.parametrize(
    ("question", "tier", "expected"),
    [
        pytest.param(SIMPLE, "simple", ["small", "mid", "big"], id="simple"),
        pytest.param(MEDIUM, "medium", ["mid", "big", "small"], id="medium"),
        pytest.param(COMPLEX, "complex", ["big", "mid", "small"], id="complex"),
    ],
)
def test_by_tier(question: str, tier: Tier, expected: list[str]) -> None:
    """The tier's own target, then the one above, then the one below."""
    plan = plan_for(question)
    assert names(plan) == expected
    assert plan.route is not None
    assert (plan.route.strategy, plan.route.tier, plan.route.cause) == (
        "complexity-based-routing",
        tier,
        "heuristic",
    )
    assert plan.classification is None
    assert plan.skipped == ()


def test_one_tier_in_the_order_of_the_configuration() -> None:
    """Several targets of a tier are tried as they stand there."""
    plan = plan_for(SIMPLE, candidate("b", "simple"), candidate("z", "complex"), candidate("a", "simple"))
    assert names(plan) == ["b", "a", "z"]


def test_who_does_not_stand_in_for_other_tiers() -> None:
    """A dear target is not asked simple things."""
    big = candidate("big", "complex", fallback=NEVER)
    plan = plan_for(SIMPLE, big, candidate("small", "simple"))
    assert names(plan) == ["small"]
    assert plan.skipped == (Skipped("acct/big", "tier"),)
    assert names(plan_for(COMPLEX, big, candidate("small", "simple"))) == ["big", "small"]


def test_nobody_is_left_for_a_tier() -> None:
    """Then the call has no target, and the refusal says why."""
    health = FakeHealth()
    health.reasons["acct/small"] = "circuit"
    candidates = candidate("big", "complex", fallback=NEVER), candidate("small", "simple")
    with pytest.raises(NoTargetAvailable) as caught:
        plan_for(SIMPLE, *candidates, health=health)
    assert "acct/small (circuit), acct/big (tier)" in caught.value.message
    assert isinstance(caught.value.plan, Plan)
    assert caught.value.plan.skipped == (Skipped("acct/small", "circuit"), Skipped("acct/big", "tier"))


def test_calls_that_are_not_read_are_medium() -> None:
    """Their body is passed on as it comes."""
    route = Route("vm/auto", CANDIDATES, Complexity(), FakeHealth())
    assert names(route.plan(make_facts(make_caller()))) == ["mid", "big", "small"]


def test_a_model_is_to_be_asked() -> None:
    """The plan has who, for how long, what about, and what follows from each answer."""
    plan = plan_for(COMPLEX, judge=Judge(JUDGE, 0.5))
    asked = plan.classification
    assert asked is not None
    assert (asked.target, asked.timeout_s, asked.question) == (JUDGE, 0.5, COMPLEX)
    assert {tier: names(then) for tier, then in asked.plans.items()} == {
        "simple": ["small", "mid", "big"],
        "medium": ["mid", "big", "small"],
        "complex": ["big", "mid", "small"],
    }
    assert {then.route and then.route.cause for then in asked.plans.values()} == {"classifier"}
    assert all(then.classification is None for then in asked.plans.values())
    assert COMPLEX not in repr(plan)


@pytest.mark.parametrize(
    ("default", "tier", "cause"),
    [
        pytest.param(None, "complex", "heuristic", id="guess"),
        pytest.param("simple", "simple", "default", id="fixed"),
    ],
)
def test_what_is_done_when_it_does_not_say(default: Tier | None, tier: str, cause: str) -> None:
    """The plan itself is what the operator has set for that."""
    plan = plan_for(COMPLEX, judge=Judge(JUDGE, default=default))
    assert plan.route is not None
    assert (plan.route.tier, plan.route.cause) == (tier, cause)


@pytest.mark.parametrize(
    ("question", "judge", "reason"),
    [
        pytest.param("", JUDGE, None, id="nothing to judge"),
        pytest.param(None, JUDGE, None, id="nothing that can be read"),
        pytest.param(SIMPLE, JUDGE, "circuit", id="its circuit is open"),
        pytest.param(SIMPLE, JUDGE, "drained", id="it is drained"),
        pytest.param(SIMPLE, make_target("acct/judge", missing_secret="KEY is not set"), None, id="no key"),
        pytest.param(SIMPLE, None, None, id="its account is not in force"),
    ],
)
def test_nobody_is_asked(question: object, judge: Any, reason: SkipReason | None) -> None:
    """Where there is nothing to judge, or nobody who could."""
    health = FakeHealth()
    if reason is not None:
        health.reasons["acct/judge"] = reason
    assert plan_for(question, judge=Judge(judge), health=health).classification is None


def test_nobody_is_asked_where_nothing_hangs_on_it() -> None:
    """All that are left are of one tier."""
    health = FakeHealth()
    health.reasons |= {"acct/big": "circuit", "acct/mid": "circuit"}
    plan = plan_for(COMPLEX, judge=Judge(JUDGE), health=health)
    assert (names(plan), plan.classification) == (["small"], None)


def test_a_tier_without_a_target_has_no_plan() -> None:
    """So it is known before that a call of it would be refused."""
    health = FakeHealth()
    health.reasons["acct/small"] = "circuit"
    candidates = (
        candidate("big", "complex", fallback=NEVER),
        candidate("mid", "medium", fallback=NEVER),
        candidate("small", "simple"),
    )
    asked = plan_for(COMPLEX, *candidates, judge=Judge(JUDGE), health=health).classification
    assert asked is not None
    assert {tier: names(then) for tier, then in asked.plans.items()} == {
        "medium": ["mid"],
        "complex": ["big"],
    }
