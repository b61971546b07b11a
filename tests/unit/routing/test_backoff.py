"""How long to wait before a target is asked again."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.backoff import MAX_DELAY_S, delay_s


@given(first_ms=st.integers(0, 60_000), retry=st.integers(1, 10_000), seed=st.integers())
def test_wait_is_jittered_and_bounded(first_ms: int, retry: int, seed: int) -> None:
    """Between half and all of what doubles with each retry, up to a bound; never an overflow."""
    ceiling_s = min(MAX_DELAY_S, first_ms / 1000 * 2 ** min(retry - 1, 16))
    found = delay_s(first_ms, retry, Random(seed))
    assert ceiling_s / 2 <= found <= ceiling_s


def test_waits_of_calls_differ() -> None:
    """Calls that failed together do not come back together."""
    random = Random(7)
    assert len({delay_s(100, 1, random) for _ in range(20)}) == 20
