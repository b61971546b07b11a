"""Which price a target gets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest
from pydantic import TypeAdapter

from gateway.config.manifests.cost import Cost
from gateway.model import Target
from gateway.pricing.price import Rates, TokenPrice
from gateway.pricing.target_prices import with_prices
from tests.unit.makers import make_target

LIST = TokenPrice(Rates(2.5, 10, cache_read=1.25))
OWN = TokenPrice(Rates(1, 2))
DAY = date(2026, 11, 1)


def cost(**written: object) -> Cost:
    adapter: TypeAdapter[Cost] = TypeAdapter(Cost)
    return adapter.validate_python(written)


PRIVATE = cost(metric="per_1000_tokens", value={"input": 0.001, "output": 0.002})


@dataclass(frozen=True)
class Integration:
    name: str = "small"
    cost: Cost | None = None


@dataclass(frozen=True)
class Account:
    integrations: tuple[Integration, ...] = (Integration(),)
    type: str = "provider-account/openai"
    name: str = "acct"
    discount_percent: float = 0


def priced(account: Account, model_id: str = "gpt-4o") -> Target:
    target = make_target("acct/small", model_id=model_id)
    [found] = with_prices([target], account, DAY)
    return found


def test_no_cost_is_the_list_price() -> None:
    """So is `public_cost`; the context window comes with it."""
    for written in (None, cost(metric="public_cost")):
        target = priced(Account((Integration(cost=written),)))
        assert (target.price, target.context_window) == (LIST, 128_000)


def test_own_price_wins() -> None:
    """The context window is still the catalogue's."""
    target = priced(Account((Integration(cost=PRIVATE),)))
    assert (target.price, target.context_window) == (OWN, 128_000)


def test_own_price_of_a_model_that_nobody_lists() -> None:
    """It is all that is known."""
    target = priced(Account((Integration(cost=PRIVATE),)), "my-model")
    assert (target.price, target.context_window) == (OWN, None)


def test_model_that_nobody_lists() -> None:
    """It has no price; of another one beside it the list price is known."""
    found = priced(Account(), "my-model")
    assert (found.price, found.context_window) == (None, None)
    assert found.price_of is not None
    assert (found.price_of("my-model"), found.price_of("gpt-4o")) == (None, LIST)


def test_discount_is_off_the_list_price_only() -> None:
    """A price that was agreed is not made lower still."""
    assert priced(Account(discount_percent=20)).price == TokenPrice(Rates(2, 8, cache_read=1))
    assert priced(Account((Integration(cost=PRIVATE),), discount_percent=20)).price == OWN


def test_price_of_the_right_integration() -> None:
    """Each target has its own integration's price, in the order given."""
    account = Account((Integration("small"), Integration("large", PRIVATE)))
    targets = [make_target(name, model_id="gpt-4o") for name in ("acct/large", "acct/small")]
    found = list(with_prices(targets, account, DAY))
    assert [(target.name, target.price) for target in found] == [("acct/large", OWN), ("acct/small", LIST)]


def test_what_costs_the_same_has_one_price() -> None:
    """So a call works out once what it costs at most, however many targets it has."""
    one, other = (priced(Account((Integration(cost=PRIVATE),))) for _ in range(2))
    assert one.price is other.price


def test_price_of_another_model_of_the_account() -> None:
    """It is the operator's own where the model is listed here, else the list price; of the unknown none."""
    account = Account((Integration(), Integration("own", PRIVATE)), discount_percent=20)
    made = [make_target("acct/small", model_id="gpt-4o"), make_target("acct/own", model_id="gpt-4.1")]
    [asked, _] = with_prices(made, account, DAY)
    assert asked.price_of is not None
    assert asked.price_of("gpt-4.1") == OWN
    assert asked.price_of("gpt-4o") == TokenPrice(Rates(2, 8, cache_read=1))
    assert asked.price_of("gpt-4o-mini") == TokenPrice(Rates(0.12, 0.48, cache_read=0.06))
    assert asked.price_of("nobody-knows") is None
    assert asked.price_of("gpt-4o-mini" * 100) is None


@pytest.mark.parametrize("told", ["gpt-4o", "gpt-4o-2024-08-06"])
def test_price_of_one_of_several_with_one_id(told: str) -> None:
    """Who was asked is paid as it is by itself, another one as the first of them that has a price."""
    account = Account((Integration("list"), Integration("own", PRIVATE), Integration("other")))
    ids = {"acct/list": "gpt-4o", "acct/own": "gpt-4o", "acct/other": "my-model"}
    made = [make_target(name, model_id=model_id) for name, model_id in ids.items()]
    prices = [target.price_of(told) for target in with_prices(made, account, DAY) if target.price_of]
    assert prices == [LIST, OWN, LIST]


def test_own_price_holds_for_the_model_of_a_day() -> None:
    """Replies tell that one."""
    account = Account((Integration(), Integration("own", PRIVATE)))
    made = [make_target("acct/small", model_id="gpt-4o"), make_target("acct/own", model_id="gpt-4.1")]
    [asked, _] = with_prices(made, account, DAY)
    assert asked.price_of is not None
    assert asked.price_of("gpt-4.1-2025-04-14") == OWN
