"""How many examples a property is tried with."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

# The examples of a usual run are the same in each; the long tier draws new ones, and more.
SHARE: Final = 4
_LEAST: Final = 25


def examples(most: int) -> int:
    """Of *most* examples, which the long tier draws, those of a usual run: a quarter, and at least 25."""
    return max(min(most, _LEAST), most // SHARE) if settings().derandomize else most
