"""How long replies usually are."""

from __future__ import annotations

from gateway.limits import output_sizes
from gateway.limits.output_sizes import UNKNOWN_TOKENS, OutputSizes


def test_unknown() -> None:
    """Of a target without replies a fixed number is assumed."""
    assert OutputSizes().usual("a/m") == UNKNOWN_TOKENS == 1024
    assert OutputSizes().known("a/m") is None


def test_the_95th_percentile() -> None:
    """Nineteen of twenty replies are no longer."""
    sizes = OutputSizes()
    for tokens in range(1, 101):
        sizes.add("a/m", tokens)
    assert sizes.usual("a/m") == sizes.known("a/m") == 96
    assert sizes.usual("b/m") == UNKNOWN_TOKENS


def test_only_the_last_count() -> None:
    """What replies were like long ago is forgotten."""
    sizes = OutputSizes()
    for tokens in [5000] * 100 + [7] * 100:
        sizes.add("a/m", tokens)
    assert sizes.usual("a/m") == 7


def test_bounded() -> None:
    """No more targets are known than a gateway has."""
    sizes = OutputSizes()
    for number in range(output_sizes._MOST_TARGETS + 1):
        sizes.add(f"a/{number}", 1)
    assert sizes.usual("a/0") == 1
    assert sizes.usual(f"a/{output_sizes._MOST_TARGETS}") == UNKNOWN_TOKENS
