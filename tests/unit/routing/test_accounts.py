"""Accounts as wholes: who may, and where they are."""

from __future__ import annotations

import pytest

from gateway.errors import (
    AccountNotAllowed,
    AccountNotFound,
    AccountRequired,
    GatewayError,
    ModelNotAllowed,
    SecretMissingError,
)
from gateway.model import AwsSigning, Caller
from gateway.routing.accounts import Accounts
from tests.unit.makers import TokenPrice, make_target

ACCOUNTS = Accounts(
    [
        make_target("acct/small"),
        make_target("acct/big", model_id="big-1"),
        make_target("spare/small"),
        make_target("lab/one", base_url="http://one/v1"),
        make_target("lab/two", base_url="http://two/v1"),
        make_target("keyless/x", missing_secret="no key"),
    ]
)


def caller(*accounts: str, models: tuple[str, ...] = ()) -> Caller:
    return Caller("app", frozenset(models), frozenset(accounts))


def test_plan() -> None:
    """A call goes to the account, under its own name and none of a model."""
    (target,) = ACCOUNTS.plan("acct", "", caller("acct"), by_model=False).targets
    assert (target.name, target.account, target.model_id) == ("acct", "acct", "")
    (target,) = ACCOUNTS.plan("acct", "acct/big", caller("acct"), by_model=False).targets
    assert (target.name, target.model_id) == ("acct/big", "big-1")


@pytest.mark.parametrize(
    ("model_id", "who", "is_allowed"),
    [
        ("big-1", caller("acct"), True),
        ("unlisted", caller("acct"), True),
        ("big-1", caller(models=("acct/big",)), True),
        ("big", caller(models=("acct/big",)), False),
        ("acct/big", caller(models=("acct/big",)), False),
        ("BIG-1", caller(models=("acct/big",)), False),
        ("big-1", caller("spare", models=("acct/small", "spare/small")), False),
        ("small-1", caller(models=("spare/small",)), False),
        ("unlisted", caller(models=("acct/small", "acct/big")), False),
    ],
)
def test_models_named_by_the_provider_s_id(model_id: str, who: Caller, *, is_allowed: bool) -> None:
    """The right is to the model of that very account that the provider knows so, or to all of it."""
    if is_allowed:
        ACCOUNTS.check_named("acct", model_id, "models", who)
        return
    with pytest.raises(ModelNotAllowed, match='which "models" names') as refused:
        ACCOUNTS.check_named("acct", model_id, "models", who)
    assert refused.value.param == "models"


def test_plan_without_a_price() -> None:
    """What an account is asked for costs what nobody knows, not what its first model does."""
    accounts = Accounts([make_target("acct/small", price=TokenPrice())])
    (target,) = accounts.plan("acct", "", caller("acct"), by_model=False).targets
    assert target.price is None
    (target,) = accounts.plan_for_maker("acct", "acct/small").targets
    assert target.price is not None


@pytest.mark.parametrize(
    ("account", "told", "is_known"),
    [
        ("acct", "gpt-4o", True),
        ("acct", "gpt-4o-2024-08-06", True),
        ("acct", "gpt-4o-0806", True),
        ("acct", "gpt-4o-20240806", True),
        ("acct", "gpt-4o-002", True),
        ("acct", "gpt-4o-2", False),
        ("acct", "gpt-4o-2-20240806", False),
        ("acct", "gpt-4o-2024-05-13", False),
        ("acct", "gpt-4o-mini", False),
        ("acct", "gpt-4", False),
        ("acct", "free", False),
        ("acct", "", False),
        ("other", "gpt-4o", False),
    ],
)
def test_price_of_what_a_reply_tells(account: str, told: str, *, is_known: bool) -> None:
    """The model that answered, by its id or one of a day, if the account has it and its price is known.

    Another number is another model, and so is a day that the account has a model of.
    """
    price = TokenPrice()
    accounts = Accounts(
        [
            make_target("acct/big", model_id="gpt-4o", price=price),
            make_target("acct/free", model_id="free"),
            make_target("acct/old", model_id="gpt-4o-2024-05-13", price=TokenPrice()),
        ]
    )
    assert (accounts.price_of(account, told) is price) is is_known


def test_plan_by_model() -> None:
    """Where it is enough, the right to one model is."""
    mine = caller(models=("acct/small",))
    assert ACCOUNTS.plan("acct", "", mine, by_model=True).candidates == ("acct",)
    with pytest.raises(AccountNotAllowed):
        ACCOUNTS.plan("spare", "", mine, by_model=True)


def test_plan_for_its_maker() -> None:
    """What somebody made, by a virtual model for example, is found without a right to the account."""
    assert ACCOUNTS.plan_for_maker("acct", "acct/small").candidates == ("acct/small",)
    assert ACCOUNTS.plan_for_maker("acct", "").candidates == ("acct",)
    for account, error in (
        ("none", AccountNotFound),
        ("keyless", SecretMissingError),
        ("lab", AccountRequired),
    ):
        with pytest.raises(error):
            ACCOUNTS.plan_for_maker(account, "")


def test_models_on_several_servers() -> None:
    """One of them must be named, and leads to its server."""
    with pytest.raises(AccountRequired) as caught:
        ACCOUNTS.plan("lab", "", caller("lab"), by_model=False)
    assert "x-tfy-model-name" in caught.value.message
    (target,) = ACCOUNTS.plan("lab", "lab/two", caller("lab"), by_model=False).targets
    assert target.base_url == "http://two/v1"


@pytest.mark.parametrize(
    ("account", "mine", "error"),
    [
        ("none", caller("acct"), AccountNotFound),
        ("acct", caller("spare"), AccountNotAllowed),
        ("acct", caller(models=("acct/small", "acct/big")), AccountNotAllowed),
        ("keyless", caller("keyless"), SecretMissingError),
    ],
)
def test_refusals(account: str, mine: Caller, error: type[GatewayError]) -> None:
    """All models of today are not the account."""
    with pytest.raises(error):
        ACCOUNTS.plan(account, "", mine, by_model=False)


def test_only_account() -> None:
    """The one that the caller may use, if it is one."""
    assert ACCOUNTS.only_account(caller("acct"), None, by_model=False) == "acct"
    assert ACCOUNTS.only_account(caller(models=("spare/small",)), None, by_model=True) == "spare"
    assert ACCOUNTS.only_account(caller("acct", "keyless"), None, by_model=False) == "acct"
    assert ACCOUNTS.only_account(caller("keyless"), None, by_model=False) == "keyless"
    with pytest.raises(AccountNotAllowed):
        ACCOUNTS.only_account(caller(models=("spare/small",)), None, by_model=False)
    with pytest.raises(AccountRequired, match="acct, spare"):
        ACCOUNTS.only_account(caller("acct", "spare"), None, by_model=False)


def test_only_account_of_a_dialect() -> None:
    """Accounts that speak something else are none for it, and one without says what was looked for."""
    accounts = Accounts([make_target("acct/small"), make_target("claude/opus", dialect="anthropic")])
    both = caller("acct", "claude")
    assert accounts.only_account(both, "openai", by_model=False) == "acct"
    assert accounts.only_account(both, "anthropic", by_model=False) == "claude"
    with pytest.raises(AccountRequired, match="acct, claude"):
        accounts.only_account(both, None, by_model=False)
    with pytest.raises(AccountNotAllowed, match="speaks Anthropic's API"):
        accounts.only_account(caller("acct"), "anthropic", by_model=False)


def test_only_account_with_the_paths_of_an_api() -> None:
    """Claude at Vertex is reached by a path of its own; Anthropic's others are not there."""
    vertex = make_target("vertex/opus", dialect="anthropic", is_predicted=True)
    accounts = Accounts([vertex, make_target("claude/opus", dialect="anthropic")])
    both = caller("vertex", "claude")
    assert accounts.only_account(both, "anthropic", by_model=False) == "claude"
    with pytest.raises(AccountNotAllowed):
        accounts.only_account(caller("vertex"), "anthropic", by_model=False)
    assert accounts.only_account(caller("vertex"), None, by_model=False) == "vertex"


def test_models_behind_the_door_of_their_account() -> None:
    """Where an account has an address of its own, models at several below it do not make it two."""
    near = [
        make_target(f"vertex/{name}", base_url=f"http://v/v1/{name}", account_url="http://v")
        for name in ("a", "b")
    ]
    plan = Accounts(near).plan("vertex", "", caller("vertex"), by_model=False)
    assert plan.targets[0].account_url == "http://v"
    far = make_target("vertex/c", base_url="http://w/v1/c", account_url="http://w")
    with pytest.raises(AccountRequired):
        Accounts([*near, far]).plan("vertex", "", caller("vertex"), by_model=False)


def test_names() -> None:
    """Models and accounts by name."""
    assert (ACCOUNTS.account_of("acct/big"), ACCOUNTS.account_of("acct/none")) == ("acct", "")
    assert (ACCOUNTS.model_id("acct/big"), ACCOUNTS.model_id("x")) == ("big-1", "")
    assert "acct" in ACCOUNTS
    assert "acct/big" not in ACCOUNTS


GOOGLES = Accounts(
    [
        make_target("google/claude", model_id="claude-1", dialect="anthropic", base_url="http://g/anthropic"),
        make_target("google/flash", model_id="gemini-flash", dialect="gemini", base_url="http://g/google"),
        make_target("google/cheap", model_id="gemini-flash", dialect="gemini", base_url="http://g/google"),
        make_target("google/gemini-pro", model_id="gemini-pro-1", dialect="gemini"),
        make_target("google/odd", model_id="gemini-pro", dialect="gemini"),
        make_target("other/flash", model_id="gemini-flash", dialect="gemini"),
        make_target("bare/x", dialect="gemini", missing_secret="no key"),
    ]
)


@pytest.mark.parametrize(
    ("words", "models", "expected"),
    [
        (["flash"], (), "google/flash"),
        (["gemini-flash"], (), "google/flash"),
        (["gemini-flash"], ("google/cheap",), "google/cheap"),
        (["gemini-pro"], ("google/odd",), "google/gemini-pro"),
        (["gemini-pro-1"], (), "google/gemini-pro"),
        (["google/flash", "flash"], (), "google/flash"),
        (["gemini-flash", "gemini-pro"], (), "google/gemini-pro"),
        (["flash-9"], (), ""),
        ([], (), ""),
    ],
)
def test_model_by_name_or_id(words: list[str], models: tuple[str, ...], expected: str) -> None:
    """The name counts before the id, and of an id's names one that the caller may use."""
    assert GOOGLES.find_model("google", words, caller(models=models)) == expected


def test_model_of_another_account() -> None:
    """It is not looked for elsewhere."""
    assert GOOGLES.find_model("bare", ["flash"], caller()) == ""


def test_door() -> None:
    """What speaks the dialect, whichever model was configured first; else anything of the account."""
    door, other = GOOGLES.door("google", "gemini"), ACCOUNTS.door("lab", "gemini")
    assert door is not None
    assert (door.name, door.base_url) == ("google/flash", "http://g/google")
    assert other is not None
    assert other.name == "lab/one"
    assert GOOGLES.door("nobody", "gemini") is None


def test_plan_at_a_door() -> None:
    """It is the account's, for who has the right to all of it, at the server that was found."""
    door = GOOGLES.door("google", "gemini")
    assert door is not None
    (target,) = GOOGLES.plan_at(door, caller("google")).targets
    assert (target.name, target.model_id, target.price) == ("google", "", None)
    assert target.base_url == "http://g/google"
    with pytest.raises(AccountNotAllowed):
        GOOGLES.plan_at(door, caller(models=("google/flash",)))
    bare = GOOGLES.door("bare", "gemini")
    assert bare is not None
    with pytest.raises(SecretMissingError):
        GOOGLES.plan_at(bare, caller("bare"))


def test_with_id() -> None:
    """Every model that a provider knows by an id, of one dialect."""
    targets = [
        make_target("a/x", model_id="m", dialect="converse"),
        make_target("b/x", model_id="m", dialect="converse"),
        make_target("c/x", model_id="m"),
    ]
    accounts = Accounts(targets)
    assert accounts.with_id("m", "converse") == targets[:2]
    assert accounts.with_id("other", "converse") == []


def test_two_regions_behind_one_address() -> None:
    """Are two ways in: what is signed for the one is refused by the other."""
    signed = [
        make_target(f"aws/{region}", signing=AwsSigning("bedrock", region)) for region in ("r-1", "r-2")
    ]
    with pytest.raises(AccountRequired):
        Accounts(signed).plan("aws", "", caller("aws"), by_model=False)
