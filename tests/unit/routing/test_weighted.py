"""Weights converge, and sessions stay."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.model import CallFacts, Table
from gateway.routing.route import Candidate
from gateway.routing.sessions import Identifier, Sessions, Sticky
from gateway.routing.weighted import Weighted
from gateway.store.shared_table import table_in_memory
from tests.rig.examples import examples
from tests.unit.doubles import FakeHealth
from tests.unit.makers import make_caller, make_facts, make_target
from tests.unit.routing.shares import check_shares

USER = Identifier("headers", "x-user")
WEIGHTS = {"acct/a": 60, "acct/b": 30, "lab/c": 10}
FACTS = make_facts(make_caller())

weights_of_routes = st.lists(st.integers(0, 100), min_size=1, max_size=6).map(
    lambda weights: {f"acct/{at}": weight for at, weight in enumerate(weights)}
)


def candidates_of(
    weights: Mapping[str, int], kind: type[list[Any] | tuple[Any, ...]] = list
) -> Sequence[Candidate]:
    """As a tuple they are given again and again, so every order is made once."""
    return kind(Candidate(make_target(name), weight=weight) for name, weight in weights.items())


def sticky_on(table: Table) -> Weighted:
    """One of the gateways that share *table*."""
    sticky = Sticky("vm/chat", [USER], keep_s=3600, sessions=Sessions(table))
    return Weighted(random.Random(7), sticky)


def names(strategy: Weighted, candidates: Sequence[Candidate], facts: CallFacts = FACTS) -> list[str]:
    ordered = strategy.order(candidates, facts, FakeHealth()).candidates
    return [candidate.target.name for candidate in ordered]


def of_user(user: object) -> CallFacts:
    return make_facts(make_caller(), headers={"x-user": str(user)})


@given(weights_of_routes, st.integers(0, 2**32))
@settings(max_examples=examples(40), derandomize=True, deadline=None)
@example({"acct/0": 1, "acct/1": 99}, 1)
@pytest.mark.parametrize("kind", [list, tuple])
def test_weights_converge(
    kind: type[list[Any] | tuple[Any, ...]], weights: dict[str, int], seed: int
) -> None:
    """Of many calls each target is first for the share that its weight has; one of weight 0 for none."""
    strategy, candidates = Weighted(random.Random(seed)), candidates_of(weights, kind)
    counts = Counter(names(strategy, candidates)[0] for _ in range(4000))
    check_shares(counts, weights if any(weights.values()) else {"acct/0": 1})


@pytest.mark.parametrize("kind", [list, tuple])
def test_second_choices_converge_too(kind: type[list[Any] | tuple[Any, ...]]) -> None:
    """Who follows one that failed is chosen by weight among the others."""
    strategy, candidates = Weighted(random.Random(3)), candidates_of(WEIGHTS, kind)
    orders = [names(strategy, candidates) for _ in range(20_000)]
    check_shares(Counter(order[1] for order in orders if order[0] == "acct/a"), {"acct/b": 30, "lab/c": 10})


@pytest.mark.parametrize("count", range(7))
def test_every_order_made_once(count: int) -> None:
    """Of few targets an order that comes again is the same object; those of many are made anew."""
    strategy = Weighted(random.Random(5))
    candidates = candidates_of({**{f"acct/{at}": 1 + at for at in range(count)}, "acct/none": 0}, tuple)
    first = strategy.order(candidates, FACTS, FakeHealth())
    assert not first.is_kept
    orders = [strategy.order(candidates, FACTS, FakeHealth()) for _ in range(400)]
    assert all(set(order.candidates) == set(candidates) for order in orders)
    assert all(order.candidates[-1].weight == 0 for order in orders)
    assert len(set(map(id, orders))) <= (math.factorial(count) if count <= 5 else 400)
    assert all(order.is_kept for order in orders) is (count <= 5)


@given(weights=weights_of_routes, seed=st.integers(0, 2**32), is_session=st.booleans())
def test_nothing_lost_and_nothing_twice(weights: dict[str, int], seed: int, *, is_session: bool) -> None:
    """Every target is in the order once, and one without weight after all that have some."""
    sticky = Sticky("vm/chat", [USER], keep_s=60, sessions=Sessions(table_in_memory(buckets=4)))
    strategy = Weighted(random.Random(seed), sticky)
    order = names(strategy, candidates_of(weights), of_user(seed) if is_session else FACTS)
    assert sorted(order) == sorted(weights)
    has_weight = [weights[name] > 0 for name in order]
    assert has_weight == sorted(has_weight, reverse=True)


def test_new_sessions_spread_by_weight() -> None:
    """The first choices of many sessions have the shares of the weights, and the second ones too."""
    strategy, candidates = sticky_on(table_in_memory(buckets=4)), candidates_of(WEIGHTS)
    orders = [names(strategy, candidates, of_user(number)) for number in range(20_000)]
    check_shares(Counter(order[0] for order in orders), WEIGHTS)
    check_shares(Counter(order[1] for order in orders if order[0] == "acct/a"), {"acct/b": 30, "lab/c": 10})


@given(st.text(min_size=1, max_size=20), weights_of_routes)
def test_replicas_agree_on_new_sessions(user: str, weights: dict[str, int]) -> None:
    """Two gateways that share nothing choose alike for a session that neither has heard of."""
    orders = [
        names(sticky_on(table_in_memory(buckets=4)), candidates_of(weights), of_user(user)) for _ in range(2)
    ]
    assert orders[0] == orders[1]


@given(
    st.lists(st.sampled_from(["join", "leave", "reweigh", "away", "call"]), max_size=12),
    st.randoms(use_true_random=False),
)
def test_sticky_keys_stay(changes: list[str], chance: random.Random) -> None:
    """As long as the target of a session can be asked, every call of it goes there first.

    Whatever joins, leaves, is weighted anew or cannot be asked for a while, and in whichever process.
    """
    table = table_in_memory(buckets=4)
    weights = dict(WEIGHTS)
    first = names(sticky_on(table), candidates_of(weights), of_user("ann"))[0]
    keep(table, "ann", first)
    for change in changes:
        others = [name for name in weights if name != first]
        if change == "join":
            weights[f"new/{len(weights)}-{chance.random()}"] = 1000
        elif change == "leave" and others:
            del weights[chance.choice(others)]
        elif change == "reweigh":
            weights[chance.choice(list(weights))] = chance.randint(0, 100)
        asked = {name: weight for name, weight in weights.items() if name == first or change != "away"}
        shuffled = chance.sample(list(asked), len(asked))
        candidates = candidates_of({name: asked[name] for name in shuffled})
        assert names(sticky_on(table), candidates, of_user("ann"))[0] == first


def keep(table: Table, user: str, name: str) -> None:
    """What the pipeline does after a good answer of *name*."""
    place = sticky_on(table).order(candidates_of(WEIGHTS), of_user(user), FakeHealth()).session
    assert place is not None
    Sessions(table).keep(place, name)


def test_session_whose_target_is_away() -> None:
    """It goes by its hash among the others, stays with who answered it, and not with who is back."""
    table = table_in_memory(buckets=4)
    candidates = candidates_of(WEIGHTS)
    first, second, third = names(sticky_on(table), candidates, of_user("ann"))
    keep(table, "ann", first)
    without = [candidate for candidate in candidates if candidate.target.name != first]
    assert names(sticky_on(table), without, of_user("ann")) == [second, third]
    keep(table, "ann", second)
    assert names(sticky_on(table), candidates, of_user("ann")) == [second, first, third]


@pytest.mark.parametrize(("removed", "most"), [("lab/c", 0.14), ("acct/b", 0.36)])
def test_a_target_that_leaves_moves_its_sessions_alone(removed: str, most: float) -> None:
    """Sessions that nobody has kept: those of others stay where they were."""
    strategy = sticky_on(table_in_memory(buckets=4))
    candidates = candidates_of(WEIGHTS)
    rest = [candidate for candidate in candidates if candidate.target.name != removed]
    moved = 0
    for number in range(1000):
        before = names(strategy, candidates, of_user(number))
        after = names(strategy, rest, of_user(number))
        assert after == [name for name in before if name != removed]
        moved += before[0] != after[0]
    assert 0 < moved < most * 1000


def test_one_target_with_two_sets_of_parameters() -> None:
    """Sessions are shared between the two by weight as between others, and stay with theirs."""
    table = table_in_memory(buckets=4096)
    strategy = sticky_on(table)
    cold, warm = Candidate(make_target("acct/a"), weight=75), Candidate(make_target("acct/a"), weight=25)
    counts: Counter[str] = Counter()
    for number in range(2000):
        order = strategy.order([cold, warm], of_user(number), FakeHealth())
        counts["cold" if order.candidates[0] is cold else "warm"] += 1
        assert order.session is not None
        Sessions(table).keep(order.session, "acct/a")
        again = strategy.order([cold, warm], of_user(number), FakeHealth())
        assert again.candidates[0] is order.candidates[0]
    check_shares(counts, {"cold": 75, "warm": 25})


def test_call_without_identifiers_is_no_session() -> None:
    """It is left to chance, and nothing is kept."""
    strategy = sticky_on(table_in_memory(buckets=4))
    candidates = candidates_of(WEIGHTS)
    assert strategy.order(candidates, FACTS, FakeHealth()).session is None
    check_shares(Counter(names(strategy, candidates)[0] for _ in range(4000)), WEIGHTS)
