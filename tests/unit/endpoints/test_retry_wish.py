"""gateway.endpoints.retry_wish: what a caller wishes of retries."""

from __future__ import annotations

from typing import Final

import pytest
from pydantic import ValidationError

from gateway.config.manifests.global_settings import RetrySettings
from gateway.endpoints.retry_wish import (
    LONGEST_DELAY_MS,
    MOST_RETRIES,
    RETRY_HEADER,
    RetryWish,
    read_retry_wish,
)
from gateway.errors import InvalidBody
from gateway.model import RetryPolicy
from tests.unit.doubles import FakeHeaders

POLICY: Final = RetryPolicy(2, 100, frozenset({429, 500}))


def read(*values: str) -> RetryWish | None:
    return read_retry_wish(FakeHeaders([(RETRY_HEADER, value) for value in values]))


def test_no_wish() -> None:
    """A call without the header has none."""
    assert read() is None


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ('{"attempts":3,"onStatusCodes":[429,503]}', RetryWish(3, None, frozenset({429, 503}))),
        ('{"attempts":3,"onStatusCodes":["429",503]}', RetryWish(3, None, frozenset({429, 503}))),
        ('{"attempts":1,"delay":250,"on_status_codes":["500"]}', RetryWish(1, 250, frozenset({500}))),
        ('{"on_status_codes":[500],"onStatusCodes":[502]}', RetryWish(None, None, frozenset({502}))),
        ('{"onStatusCodes":[500,"500"]}', RetryWish(None, None, frozenset({500}))),
        ('{"onStatusCodes":[]}', RetryWish(None, None, frozenset())),
        ('{"attempts":0}', RetryWish(0)),
        ('{"attempts":"2"}', RetryWish(2)),
        ('{"attempts":null,"delay":null}', RetryWish()),
        ('{"attempts":10,"delay":60000}', RetryWish(10, 60_000)),
        ("{}", RetryWish()),
        ('{"attempts":1,"jitter":true}', RetryWish(1)),
    ],
)
def test_wish(text: str, wish: RetryWish) -> None:
    """Names in either spelling, statuses as numbers or text; what else is written has no meaning."""
    assert read(text) == wish


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "[]",
        "null",
        "{",
        '{"attempts":-1}',
        '{"attempts":11}',
        '{"attempts":1.5}',
        '{"attempts":true}',
        '{"attempts":"many"}',
        '{"attempts":1e99}',
        '{"delay":60001}',
        '{"delay":-1}',
        '{"onStatusCodes":429}',
        '{"onStatusCodes":"429"}',
        '{"onStatusCodes":[99]}',
        '{"onStatusCodes":[600]}',
        '{"on_status_codes":["5xx"]}',
        '{"onStatusCodes":[null]}',
        '{"onStatusCodes":[[429]]}',
        "[" * 2000,
        '{"attempts":1}' + " " * 2048,
        '{"attempts":\xb2}',
    ],
)
def test_no_such_wish(text: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidBody) as caught:
        read(text)
    assert caught.value.param == RETRY_HEADER


def test_sent_twice() -> None:
    """Two of them are no wish."""
    with pytest.raises(InvalidBody):
        read('{"attempts":1}', '{"attempts":2}')


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (RetryWish(), POLICY),
        (RetryWish(retries=0), RetryPolicy(0, 100, POLICY.on_status)),
        (RetryWish(delay_ms=0), RetryPolicy(2, 0, POLICY.on_status)),
        (RetryWish(on_status=frozenset()), RetryPolicy(2, 100, frozenset())),
        (RetryWish(4, 5, frozenset({418})), RetryPolicy(4, 5, frozenset({418}))),
    ],
)
def test_over_a_policy(wish: RetryWish, expected: RetryPolicy) -> None:
    """What is not wished stays as the target has it."""
    assert wish.over(POLICY) == expected


@pytest.mark.parametrize("field", ["attempts", "delay"])
def test_bounds_are_the_operators(field: str) -> None:
    """A caller may wish what an operator may set, and no more."""
    most = {"attempts": MOST_RETRIES, "delay": LONGEST_DELAY_MS}
    RetrySettings.model_validate({"attempts": 0, field: most[field]})
    with pytest.raises(ValidationError):
        RetrySettings.model_validate({"attempts": 0, field: most[field] + 1})
