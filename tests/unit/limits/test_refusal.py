"""How a caller is told that a limit is used up."""

from __future__ import annotations

from math import inf

import pytest

from gateway.errors import BudgetExceeded, LimitsUnavailable, RateLimitExceeded
from gateway.limits.refusal import refusal_of, unknown_refusal
from gateway.limits.rules import Meter, Rule
from tests.unit.limits.limits import budget_of, limit_of


def meter_of(rule: Rule) -> Meter:
    return Meter(rule, rule.limits[0], (), is_enforced=True)


@pytest.mark.parametrize(
    ("rule", "amount", "used", "reset_s", "message", "headers"),
    [
        pytest.param(
            limit_of("requests", 10, id="r"),
            1,
            10,
            4.2,
            'The rate limit "r" allows 10 requests per minute: 0 requests left. There is room in 5 s.',
            {"retry-after": "5"},
            id="requests",
        ),
        pytest.param(
            limit_of("tokens", 1000, id="r", window="day"),
            300,
            900,
            7 * 3600.0,
            'The rate limit "r" allows 1000 tokens per day: 100 tokens left, and this call may need 300 '
            "tokens. There is room in 7.0 hours.",
            {"retry-after": "25200"},
            id="tokens",
        ),
        pytest.param(
            limit_of("tokens", 1000, id="r"),
            2000,
            0,
            0.0,
            'The rate limit "r" allows 1000 tokens per minute: 1000 tokens left, and this call may need 2000 '
            "tokens. It never has room for that much: ask for less.",
            {"retry-after": "1", "x-should-retry": "false"},
            id="more than there ever is",
        ),
        pytest.param(
            limit_of("requests", 0, id="r"),
            1,
            0,
            inf,
            'The rate limit "r" allows 0 requests per minute: 0 requests left. It lets none of these calls '
            "through: whoever owns it can raise it.",
            {"x-should-retry": "false"},
            id="nothing at all",
        ),
        pytest.param(
            limit_of("parallel", 3, id="p"),
            1,
            3,
            1.0,
            'The rate limit "p" allows 3 parallel requests: 0 parallel requests left. Send it again when '
            "another of these calls has ended.",
            {"retry-after": "1"},
            id="parallel",
        ),
        pytest.param(
            budget_of(1.5, id="b"),
            250_000,
            1_400_000,
            3 * 86_400.0,
            'The budget "b" allows 1.5 USD per month: 0.1 USD left, and this call may need 0.25 USD. There '
            "is room in 3.0 days.",
            {"retry-after": "259200", "x-should-retry": "false"},
            id="a budget",
        ),
        pytest.param(
            budget_of(1, id="b", window="lifetime"),
            1,
            1_000_000,
            inf,
            'The budget "b" allows 1 USD in all: 0 USD left. '
            "It does not reset: whoever owns it can raise it.",
            {"x-should-retry": "false"},
            id="for ever",
        ),
    ],
)
def test_words(
    rule: Rule, amount: int, used: int, reset_s: float, message: str, headers: dict[str, str]
) -> None:
    """The rule's id, what is left, what is needed and when there is room."""
    error = refusal_of(meter_of(rule), amount, used, reset_s, budget_status=402)
    assert error.message == message
    assert dict(error.headers) == headers


def test_kinds() -> None:
    """A budget's refusal has the status that is configured, a rate limit's is always 429."""
    budget = refusal_of(meter_of(budget_of(1)), 1, 1, 1.0, budget_status=402)
    rate = refusal_of(meter_of(limit_of("requests", 1)), 1, 1, 1.0, budget_status=402)
    assert isinstance(budget, BudgetExceeded)
    assert isinstance(rate, RateLimitExceeded)
    assert (budget.status, rate.status) == (402, 429)


def test_nobody_knows() -> None:
    """Where what is counted is out of reach, the limit is not said to be used up."""
    rate = unknown_refusal(meter_of(limit_of("requests", 1, id="r")), 1.0)
    assert isinstance(rate, LimitsUnavailable)
    assert rate.headers == (("retry-after", "1"),)
    assert rate.message.startswith('The rate limit "r" cannot be checked')
    budget = unknown_refusal(meter_of(budget_of(1, id="b")), 0.2)
    assert (budget.message[:14], budget.headers) == ('The budget "b"', (("retry-after", "1"),))
