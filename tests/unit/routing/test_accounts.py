"""Accounts as wholes: who may, and where they are."""

from __future__ import annotations

import pytest

from gateway.errors import (
    AccountNotAllowed,
    AccountNotFound,
    AccountRequired,
    GatewayError,
    SecretMissingError,
)
from gateway.model import AwsSigning, Caller
from gateway.routing.accounts import Accounts
from tests.unit.makers import make_target

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


def test_plan_by_model() -> None:
    """Where it is enough, the right to one model is."""
    mine = caller(models=("acct/small",))
    assert ACCOUNTS.plan("acct", "", mine, by_model=True).candidates == ("acct",)
    with pytest.raises(AccountNotAllowed):
        ACCOUNTS.plan("spare", "", mine, by_model=True)


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


def test_names() -> None:
    """Models and accounts by name."""
    assert (ACCOUNTS.account_of("acct/big"), ACCOUNTS.account_of("acct/none")) == ("acct", "")
    assert (ACCOUNTS.model_id("acct/big"), ACCOUNTS.model_id("x")) == ("big-1", "")
    assert "acct" in ACCOUNTS
    assert "acct/big" not in ACCOUNTS


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
