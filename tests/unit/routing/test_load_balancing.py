"""Rules that give calls of a model other targets."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.model import Caller
from gateway.routing.load_balancing import MOST_CALLERS, LoadBalancing, Rule
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, Route
from gateway.routing.runtime import AllWell
from tests.unit.makers import make_caller, make_facts, make_target


def rule(name: str, **when: Any) -> Rule:
    route = Route(name, [Candidate(make_target())], Priority(Random(0)), AllWell())
    return Rule(route, **{"subjects": None, "models": None, "metadata": {}, **when})


def found(
    rules: LoadBalancing, model: str, caller: str = "app", metadata: dict[str, str] | None = None
) -> str | None:
    route = rules.find(model, make_facts(make_caller(name=caller), metadata=metadata or {}))
    return None if route is None else route.name


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({}, True),
        ({"models": ("a/b",)}, True),
        ({"models": ("x/y", "a/*")}, True),
        ({"models": ("x/y",)}, False),
        ({"models": ()}, False),
        ({"models": ("chat",)}, True),
        ({"models": ("ch?t",)}, True),
        ({"subjects": ("virtualaccount:app",)}, True),
        ({"subjects": ("team:x", "virtualaccount:a*")}, True),
        ({"subjects": ("virtualaccount:other", "app")}, False),
        ({"metadata": {"env": "dev"}}, True),
        ({"metadata": {"env": "dev", "team": "x"}}, False),
        ({"metadata": {"env": "prod"}}, False),
        ({"models": ("a/b",), "subjects": ("virtualaccount:other",)}, False),
        ({"models": ("a/b",), "subjects": ("virtualaccount:app",), "metadata": {"env": "dev"}}, True),
    ],
)
def test_every_part_must_match(when: dict[str, Any], *, matches: bool) -> None:
    """What is not written matches everything; a virtual model is meant by any of its names."""
    rules = LoadBalancing([rule("r", **when)], {"a/b": ("chat",)})
    for _ in range(2):
        assert found(rules, "a/b", metadata={"env": "dev", "more": "1"}) == ("r" if matches else None)


def test_callers_without_number() -> None:
    """What is remembered of users that an identity provider tells does not grow with them."""
    rules = LoadBalancing([rule("r", subjects=("virtualaccount:app*",))], {})
    for number in range(MOST_CALLERS + 2):
        assert found(rules, "a/b", caller=f"app{number}") == "r"
    assert len(rules._of_caller) <= MOST_CALLERS
    assert found(rules, "a/b", caller="other") is None


def test_the_first_that_matches_counts() -> None:
    """Also where a later one is more precise."""
    rules = LoadBalancing(
        [
            rule("dev", metadata={"env": "dev"}),
            rule("mine", subjects=("virtualaccount:app",)),
            rule("b", models=("a/b",)),
            rule("late", models=("a/b",), metadata={"env": "dev"}),
        ],
        {},
    )
    assert found(rules, "a/b", metadata={"env": "dev"}) == "dev"
    assert found(rules, "a/b") == "mine"
    assert found(rules, "a/b", caller="other") == "b"
    assert found(rules, "a/c", caller="other") is None
    assert [route.name for route in rules.routes()] == ["dev", "mine", "b", "late"]


def test_rules_about_users_and_teams() -> None:
    """Who is in a team is meant by its name; two callers with one name and other teams are two."""
    rules = LoadBalancing([rule("ml", subjects=("team:ml",)), rule("a", subjects=("user:a@x.io",))], {})
    member = Caller("a@x.io", frozenset(), kind="user", teams=("ml",))
    for caller, name in ((member, "ml"), (replace(member, teams=()), "a"), (make_caller(), None)):
        route = rules.find("a/b", make_facts(caller))
        assert (route.name if route else None) == name
