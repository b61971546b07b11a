"""What callers are told of how their targets were chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.model import LimitNote, Plan, RouteFacts, Skipped
from gateway.telemetry.applied_configurations import MAX_BYTES, applied_configurations
from gateway.telemetry.call_trace import CallTrace
from tests.unit.doubles import FakePermit
from tests.unit.makers import TARGET, make_target
from tests.unit.telemetry.traces import add_attempt, make_planned_trace

ROUTE = RouteFacts("vm/chat", "weight-based-routing")


def routed(
    *candidates: str, skipped: tuple[Skipped, ...] = (), route: RouteFacts = ROUTE, tried: int = 1
) -> CallTrace:
    trace = make_planned_trace()
    targets = (make_target("a/c"), TARGET)[: len(candidates)]
    trace.plan = Plan(targets, candidates, skipped, route)
    for _ in range(tried):
        add_attempt(trace)
    return trace


def read(trace: CallTrace) -> dict[str, Any]:
    value = applied_configurations(trace)
    assert value is not None
    assert len(value) <= MAX_BYTES
    assert all(0x20 <= byte < 0x7F for byte in value), "a header is a line of ASCII"
    found = json.loads(value)
    assert list(found) == ["routing"]
    told: dict[str, Any] = found["routing"]
    return told


def test_route() -> None:
    """What there was to choose from, in which order it is tried, what is not and why."""
    trace = routed("a/b", "acct/small", "a/c", skipped=(Skipped("a/b", "metadata"),), tried=2)
    trace.skipped("a/c", "circuit")
    assert read(trace) == {
        "name": "vm/chat",
        "type": "weight-based-routing",
        "candidates": ["a/b", "acct/small", "a/c"],
        "order": ["a/c", "acct/small"],
        "skipped": [{"target": "a/b", "reason": "metadata"}, {"target": "a/c", "reason": "circuit"}],
        "attempts": 2,
    }


def test_rule() -> None:
    """One of `gateway-load-balancing-config` is named as such."""
    told = read(routed("a/b", route=RouteFacts("rule-1", "weight-based-routing", is_rule=True)))
    assert (told["name"], told["rule_id"]) == ("rule-1", "rule-1")


def test_tier() -> None:
    """What a call was found to be, where that decides."""
    told = read(routed("a/b", route=RouteFacts("vm/auto", "complexity-based-routing", "simple")))
    assert (told["tier"], "rule_id" in told) == ("simple", False)


def test_nothing_left() -> None:
    """Lists that have nothing in them are there."""
    told = read(routed(tried=0))
    assert (told["candidates"], told["order"], told["skipped"], told["attempts"]) == ([], [], [], 0)


def test_a_model_that_was_named_itself_has_none() -> None:
    """Nor has a call without a plan."""
    assert applied_configurations(make_planned_trace()) is None
    unplanned = make_planned_trace()
    unplanned.plan = None
    assert applied_configurations(unplanned) is None


@pytest.mark.parametrize("name", ["vm/bücher", "vm/日本", "vm/😀", "vm/\x7f"])
def test_other_characters_are_escaped(name: str) -> None:
    """Whatever names the configuration has."""
    told = read(routed(name, route=RouteFacts(name, "weight-based-routing")))
    assert (told["name"], told["candidates"]) == (name, [name])


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        pytest.param(["a/b"] * 64, 64, id="as many as are told"),
        pytest.param(["a/b"] * 65, 64, id="more"),
        pytest.param(["a/" + "b" * 100] * 20, 16, id="long ones"),
        pytest.param(["a/" + "b" * 5000], 0, id="one that is too long"),
    ],
)
def test_long_lists_lose_their_ends(names: list[str], kept: int) -> None:
    """And the caller is told so."""
    told = read(routed(*names, skipped=tuple(Skipped(name, "tier") for name in names[1:])))
    assert told["candidates"] == names[:kept]
    assert told.get("is_cut", False) is (kept < len(names))


def test_longest() -> None:
    """No name is too long to be told of at all."""
    route = RouteFacts("😀" * 1000, "complexity-based-routing", "medium", is_rule=True)
    told = read(routed(*["😀" * 1000] * 3, route=route))
    assert (told["name"], told["candidates"], told["is_cut"]) == ("😀" * 128, [], True)


def note(rule: str, **changes: Any) -> LimitNote:
    fields: dict[str, Any] = {
        "kind": "requests",
        "is_budget": False,
        "outcome": "allowed",
        "target": "",
        "limit": 10,
        "used": 3,
        "reset_s": 60.0,
    }
    return LimitNote(rule, **fields | changes)


def test_limits() -> None:
    """Rate limits and budgets that hold for a call, with or without a route; what refuses comes first."""
    trace = make_planned_trace()
    trace.permit = FakePermit(
        note("a"), note("b", outcome="refused", used=10, target="a/c"), note("c", kind="cost", is_budget=True)
    )
    value = applied_configurations(trace)
    assert json.loads(value or b"") == {
        "rate_limits": [
            {"id": "b", "type": "requests", "outcome": "refused", "limit": 10, "used": 10, "target": "a/c"},
            {"id": "a", "type": "requests", "outcome": "allowed", "limit": 10, "used": 3},
        ],
        "budgets": [{"id": "c", "type": "cost", "outcome": "allowed", "limit": 10, "used": 3}],
    }
    trace.permit = FakePermit()
    assert applied_configurations(trace) is None


def test_figures_are_those_of_their_limits() -> None:
    """Also where a budget was asked for first: budgets are told last."""
    trace = make_planned_trace()
    trace.permit = FakePermit(note("a", is_budget=True, used=1), note("b", used=2), note("c", used=3))
    told = json.loads(applied_configurations(trace) or b"")
    assert [(limit["id"], limit["used"]) for limit in told["rate_limits"]] == [("b", 2), ("c", 3)]
    assert [(limit["id"], limit["used"]) for limit in told["budgets"]] == [("a", 1)]


def test_many_limits_fit() -> None:
    """However many hold, the header stays short, and says who refuses."""
    trace = make_planned_trace()
    trace.permit = FakePermit(*[note("x" * 200) for _ in range(90)], note("last", outcome="refused"))
    value = applied_configurations(trace) or b""
    assert len(value) <= MAX_BYTES
    assert json.loads(value)["rate_limits"][0]["id"] == "last"
