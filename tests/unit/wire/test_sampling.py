"""Consistent probability sampling: thresholds, randomness and the note in tracestate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sampling import (
    NEVER,
    callers_threshold,
    randomness,
    threshold,
    threshold_in,
    threshold_text,
    with_threshold,
)


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.0, "0"), (0.5, "8"), (0.25, "c"), (0.125, "e"), (0.1, "e6666666666668")]
)
def test_threshold(ratio: float, text: str) -> None:
    """As the specification's table has it."""
    assert threshold_text(threshold(ratio)) == text
    assert threshold_in(with_threshold("", threshold(ratio))) == threshold(ratio)


def test_ratio_zero_is_reached_by_nobody() -> None:
    """R has 56 bits."""
    assert threshold(0.0) == NEVER > randomness(b"\xff" * 16)


def test_randomness() -> None:
    """The last seven bytes, unless the caller gives another number."""
    assert randomness(b"\xff" * 9 + b"\0\0\0\0\0\1\2") == 0x102
    assert randomness(b"\xff" * 16, "a=b,ot=th:8;rv:00000000000007") == 7
    assert randomness(b"\0" * 16, "a=rv:00000000000007") == 0


def test_what_a_caller_says_of_its_own_sampling() -> None:
    """Its threshold, unless it did not say or could not have taken this trace by it."""
    high = b"\xff" * 16
    assert callers_threshold(high, "a=1,ot=th:c") == 0xC << 52
    assert callers_threshold(high, "ot=th:0") == 0
    assert callers_threshold(high, "a=1,ot=rv:ffffffffffffff") is None
    assert callers_threshold(bytes(16), "ot=th:c") is None
    assert callers_threshold(bytes(16), "ot=th:c;rv:d0000000000000") == 0xC << 52


@pytest.mark.parametrize(
    ("state", "expected"),
    [("", ""), ("a=1,b=2", "a=1,b=2"), ("a=1,ot=th:8", "a=1"), ("ot=p:1;th:8;x:y,a=1", "ot=p:1;x:y,a=1")],
)
def test_a_threshold_is_erased(state: str, expected: str) -> None:
    """Where the probability is not known, nothing else is lost."""
    assert with_threshold(state, None) == expected


@given(
    members=st.lists(st.from_regex(r"[a-n][a-z]{0,5}=[!-+\--<>-~]{1,10}", fullmatch=True), max_size=40),
    value=st.integers(0, NEVER - 1),
)
def test_other_members_stay_in_order(members: list[str], value: int) -> None:
    """At most 32 in all, ours first."""
    written = with_threshold(",".join(members), value).split(",")
    assert written[0] == f"ot=th:{threshold_text(value)}"
    assert written[1:] == members[:31]
