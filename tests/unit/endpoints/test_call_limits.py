"""gateway.endpoints.call_limits: how long a caller lets an attempt take."""

from __future__ import annotations

import pytest

from gateway.endpoints.call_limits import FIRST_TOKEN_HEADER, NO_LIMITS, WHOLE_HEADER, CallLimits, read_limits
from gateway.errors import InvalidBody
from tests.unit.doubles import FakeHeaders


def read(*pairs: tuple[str, str]) -> CallLimits:
    return read_limits(FakeHeaders(pairs))


def test_none() -> None:
    """A call that says nothing sets no limit."""
    assert read() is NO_LIMITS
    assert (NO_LIMITS.whole_s, NO_LIMITS.first_token_s) == (None, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 0.001), ("30000", 30.0), ("007", 0.007), ("999999999", 999_999.999)]
)
def test_milliseconds(text: str, seconds: float) -> None:
    """Each header is a positive whole number of milliseconds, by itself or beside the other."""
    assert read((WHOLE_HEADER, text)) == CallLimits(whole_s=seconds)
    assert read((FIRST_TOKEN_HEADER, text)) == CallLimits(first_token_s=seconds)
    assert read((WHOLE_HEADER, "60000"), (FIRST_TOKEN_HEADER, text)) == CallLimits(60.0, seconds)


@pytest.mark.parametrize("name", [WHOLE_HEADER, FIRST_TOKEN_HEADER])
@pytest.mark.parametrize(
    "text",
    ["0", "-1", "1.5", "1e3", "", "soon", "²", "٣", "1000000000", "9" * 5000, "0" * 5000 + "5", "5, 5", " 5"],
)
def test_no_milliseconds(name: str, text: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidBody) as caught:
        read((name, text))
    assert caught.value.param == name
