"""Names of the form `<account>/<integration>`."""

from __future__ import annotations

from typing import Final

import pytest

from gateway.errors import ModelNotAllowed, ModelNotFound, SecretMissingError
from gateway.model import CallFacts, ListedModel, Plan
from gateway.routing.direct import Routing, _comparable
from gateway.routing.route import Route
from tests.unit.makers import make_caller, make_facts, make_route, make_routes, make_target

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


CHAT_ROUTE: Final = make_route("vm/chat", SMALL, LARGE)
WITH_ROUTES: Final = Routing(
    [SMALL, LARGE, KEYLESS],
    make_routes(CHAT_ROUTE, make_route("vm/other", LARGE), **{"chat": CHAT_ROUTE, "acct/chat": CHAT_ROUTE}),
    virtual=[ListedModel("vm/chat", "vm", frozenset({"chat"}))],
)
VIRTUAL_CALLER: Final = make_caller("vm/chat")


@pytest.mark.parametrize("name", ["vm/chat", "chat", "acct/chat"])
def test_virtual_model_by_any_of_its_names(name: str) -> None:
    """Each leads to the same targets and is shown as the same model; the right is to its full name."""
    assert WITH_ROUTES.plan(name, make_facts(VIRTUAL_CALLER)).targets[0].name == "acct/small"
    assert WITH_ROUTES.find_route(name) is CHAT_ROUTE
    assert WITH_ROUTES.show_virtual(name, VIRTUAL_CALLER).name == "vm/chat"
    for ask in (WITH_ROUTES.check_right, WITH_ROUTES.show_virtual):
        with pytest.raises(ModelNotAllowed):
            ask(name, make_caller("acct/small", "chat", "acct/chat"))


def test_names_of_no_virtual_model() -> None:
    """A target's name is none, and no other means anything."""
    assert WITH_ROUTES.find_route("acct/small") is None
    assert WITH_ROUTES.find_route("vm/absent") is None
    for name in ("acct/small", "vm/absent"):
        with pytest.raises(ModelNotFound):
            WITH_ROUTES.show_virtual(name, make_caller("acct/small"))
    with pytest.raises(ModelNotFound):
        WITH_ROUTES.check_right("vm/absent", VIRTUAL_CALLER)


@pytest.mark.parametrize(("name", "has"), [("vm", True), ("acct", True), ("chat", False), ("lab", False)])
def test_groups(name: str, *, has: bool) -> None:
    """What stands before a slash in a virtual model's names."""
    assert WITH_ROUTES.has_group(name) is has


class Always:
    """A rule for every call."""

    def find(self, _: str, __: CallFacts) -> Route:
        return CHAT_ROUTE


def test_a_model_itself() -> None:
    """What is asked about one model is told of it, whatever rules say of calls; virtual ones are none."""
    routing = Routing([SMALL, LARGE, KEYLESS], make_routes(CHAT_ROUTE), Always())
    caller = make_caller("acct/large", "acct/keyless", "vm/chat")
    assert routing.plan("acct/large", make_facts(caller)).targets[0] != LARGE
    assert routing.plan_itself("acct/large", caller) == Plan((LARGE,), ("acct/large",))
    for name, error in (
        ("acct/small", ModelNotAllowed),
        ("acct/keyless", SecretMissingError),
        ("vm/chat", ModelNotFound),
        ("acct/none", ModelNotFound),
    ):
        with pytest.raises(error):
            routing.plan_itself(name, caller)
