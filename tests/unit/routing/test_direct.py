"""Names of the form `<account>/<integration>`."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from gateway.errors import ModelNotAllowed, ModelNotFound, SecretMissingError
from gateway.model import CallFacts, ListedModel, Plan, Target
from gateway.routing.direct import Routing, _comparable
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, Route
from gateway.routing.runtime import AllWell
from tests.unit.makers import make_caller, make_facts, make_target

SMALL = make_target("acct/small")
LARGE = make_target("acct/large")
KEYLESS = make_target("acct/keyless", missing_secret="ACCT_KEY is not set")
SLASHED = make_target("lab/meta/llama")
ROUTING = Routing([SMALL, LARGE, KEYLESS, SLASHED])
CALLER = make_caller("acct/small", "acct/keyless", "lab/meta/llama")


@pytest.mark.parametrize("target", [SMALL, SLASHED], ids=["plain", "with a slash of its own"])
def test_plan_is_the_one_target(target: object) -> None:
    """A name leads to its one target."""
    assert ROUTING.plan(target.name, make_facts(CALLER)) == Plan((target,), (target.name,))  # type: ignore[attr-defined,arg-type]


@pytest.mark.parametrize(
    ("model", "close"),
    [
        pytest.param("acct/smal", "acct/small", id="a letter short"),
        pytest.param("small", "acct/small", id="without account"),
        pytest.param("lab/llama", "lab/meta/llama", id="a part"),
    ],
)
def test_unknown_name_shows_close_ones(model: str, close: str) -> None:
    """A misspelt name is answered with close ones that the caller may use."""
    with pytest.raises(ModelNotFound) as caught:
        ROUTING.plan(model, make_facts(CALLER))
    assert model in caught.value.message
    assert close in caught.value.message
    assert caught.value.param == "model"


@pytest.mark.parametrize("model", ["acct/larg", "zzz", "", "acct/", "/small", "ACCT/SMALL/", "acct/small "])
def test_unknown_name_shows_nothing_that_is_not_the_callers(model: str) -> None:
    """Names that a caller may not use are not told to it."""
    with pytest.raises(ModelNotFound) as caught:
        ROUTING.plan(model, make_facts(make_caller("acct/small")))
    assert "acct/large" not in caught.value.message
    assert "lab/" not in caught.value.message


def test_unknown_name_without_close_ones() -> None:
    """Where nothing is close the answer says where the list is."""
    with pytest.raises(ModelNotFound, match="GET /v1/models"):
        ROUTING.plan("qqqqqqqq", make_facts(CALLER))


def test_long_name_is_shown_short() -> None:
    """A name of a megabyte does not come back whole, and is looked for quickly."""
    many = make_caller(*(f"acct/model-{number}" for number in range(5000)))
    with pytest.raises(ModelNotFound) as caught:
        ROUTING.plan("x" * 1_000_000, make_facts(many))
    assert len(caught.value.message) < 1000


def test_forbidden_name() -> None:
    """A name that exists, for others, is a 403 that says whom to ask."""
    with pytest.raises(ModelNotAllowed) as caught:
        ROUTING.plan("acct/large", make_facts(CALLER))
    assert "app may not use acct/large" in caught.value.message
    assert caught.value.param == "model"


def test_forbidden_comes_before_unavailable() -> None:
    """Who may not use a model does not learn that its key is missing."""
    with pytest.raises(ModelNotAllowed):
        ROUTING.plan("acct/keyless", make_facts(make_caller("acct/small")))


def test_account_without_key() -> None:
    """A model without its credential is a 503; which one is missing is for the operator."""
    with pytest.raises(SecretMissingError) as caught:
        ROUTING.plan("acct/keyless", make_facts(CALLER))
    assert caught.value.detail == "ACCT_KEY is not set"
    assert "ACCT_KEY" not in caught.value.message


def test_available_models() -> None:
    """A caller sees what it may use and what can be used, sorted."""
    assert [target.name for target in ROUTING.available_to(CALLER)] == ["acct/small", "lab/meta/llama"]
    assert ROUTING.available_to(make_caller()) == []


MANY: Final = [f"acct-{account}/model-{number:04}" for account in range(5) for number in range(1000)]


@pytest.mark.parametrize(
    ("asked", "close"),
    [
        pytest.param("acct-0/modl-0000", "acct-0/model-0000", id="first"),
        pytest.param("acct-4/model-0999x", "acct-4/model-0999", id="last of the last account"),
        pytest.param("acct-4/modle-0998", "acct-4/model-0998", id="letters changed about"),
        pytest.param("act-0/model-0998", "acct-0/model-0998", id="account misspelt"),
        pytest.param("zz/the-odd-ones", "zz/the-odd-one", id="an account behind all others"),
        pytest.param("the-odd-one", "zz/the-odd-one", id="without account"),
    ],
)
def test_close_names_among_many(asked: str, close: str) -> None:
    """Among thousands of models the close one is found, wherever in the order it stands."""
    with pytest.raises(ModelNotFound) as caught:
        ROUTING.plan(asked, make_facts(make_caller(*MANY, "zz/the-odd-one")))
    assert close in caught.value.message


@pytest.mark.parametrize("asked", ["acct-1/x", "nobody/x", "x", "x" * 200, ""])
def test_few_names_are_compared(asked: str) -> None:
    """Comparing letter by letter costs 30 us a name, so a mistake never pays for every model there is."""
    compared = _comparable(asked, frozenset(MANY))
    assert 0 < len(compared) <= 2000
    if asked.startswith("acct-1/"):
        assert set(compared) == set(MANY[1000:2000])


# -- virtual models and rules


def make_route(name: str, *targets: Target) -> Route:
    return Route(name, [Candidate(target) for target in targets], Priority(Random(0)), AllWell())


class OneRule:
    """A rule for one model."""

    def __init__(self, model: str, route: Route) -> None:
        self.model, self.route = model, route

    def find(self, model: str, _: CallFacts) -> Route | None:
        return self.route if model == self.model else None


CHAT: Final = make_route("vm/chat", SMALL)
DEAD: Final = make_route("vm/dead", KEYLESS)
VIRTUAL: Final = Routing(
    [SMALL, LARGE],
    {"vm/chat": CHAT, "chat": CHAT, "acct/old": CHAT, "vm/dead": DEAD},
    virtual=[
        ListedModel("vm/chat", "vm", frozenset(), ("chat", "acct/old")),
        ListedModel("vm/dead", "vm", frozenset()),
    ],
)


@pytest.mark.parametrize("name", ["vm/chat", "chat", "acct/old"])
def test_virtual_model(name: str) -> None:
    """By any of its names, for who has the right to it; none to its targets is needed."""
    plan = VIRTUAL.plan(name, make_facts(make_caller("vm/chat")))
    assert [target.name for target in plan.targets] == ["acct/small"]
    assert plan.route is not None
    assert plan.route.name == "vm/chat"
    assert VIRTUAL.find_route(name) is CHAT


@pytest.mark.parametrize("right", ["chat", "acct/old", "acct/small", "vm/dead"])
def test_rights_are_to_full_names(right: str) -> None:
    """An alias that looks like a model of another account is none."""
    for name in ("vm/chat", "acct/old"):
        with pytest.raises(ModelNotAllowed, match=f"app may not use {name}"):
            VIRTUAL.plan(name, make_facts(make_caller(right)))


def test_a_model_that_is_named_itself() -> None:
    """Virtual models among its neighbours change nothing for it."""
    caller = make_caller("acct/small", "vm/chat")
    assert VIRTUAL.plan("acct/small", make_facts(caller)) == Plan((SMALL,), ("acct/small",))
    assert VIRTUAL.find_route("acct/small") is None
    assert VIRTUAL.plan_itself("acct/small", caller) == Plan((SMALL,), ("acct/small",))
    with pytest.raises(ModelNotFound):
        VIRTUAL.plan_itself("vm/chat", caller)


def test_virtual_models_in_the_list() -> None:
    """Once, by the full name, if one target at least has its credential."""
    caller = make_caller("vm/chat", "vm/dead", "acct/small")
    assert [model.name for model in VIRTUAL.models_of(caller)] == ["acct/small", "vm/chat"]
    assert [model.name for model in VIRTUAL.available_to(caller)] == ["acct/small"]
    assert VIRTUAL.models_of(make_caller()) == []


def test_virtual_models_are_close_names_too() -> None:
    """A misspelt one is answered with it."""
    with pytest.raises(ModelNotFound, match="vm/chat"):
        VIRTUAL.plan("vm/caht", make_facts(make_caller("vm/chat")))


@pytest.mark.parametrize(
    ("ruled", "asked", "route"),
    [
        ("acct/small", "acct/small", "rule"),
        ("acct/large", "acct/small", None),
        ("vm/chat", "chat", "rule"),
        ("chat", "chat", "vm/chat"),
    ],
    ids=["a model", "another", "a virtual one by any name", "by its full name"],
)
def test_rules(ruled: str, asked: str, route: str | None) -> None:
    """What a rule says of a call stands over what its name does, for models by their full names."""
    routing = Routing(
        [SMALL, LARGE], {"vm/chat": CHAT, "chat": CHAT}, OneRule(ruled, make_route("rule", LARGE))
    )
    plan = routing.plan(asked, make_facts(make_caller("acct/small", "vm/chat")))
    assert (plan.route and plan.route.name) == route
    assert (plan.targets[0] is LARGE) == (route == "rule")


def test_rules_give_no_rights() -> None:
    """Who may not ask for a model does not get it by a rule."""
    routing = Routing([SMALL, LARGE], rules=OneRule("acct/large", make_route("rule", SMALL)))
    with pytest.raises(ModelNotAllowed):
        routing.plan("acct/large", make_facts(make_caller("acct/small")))
