"""How many examples a property is tried with, and at how many places a stream is cut."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

# The examples of a usual run are the same in each; the long tier draws new ones, and more.
_SHARE: Final = 4
_LEAST: Final = 25


def examples(most: int) -> int:
    """Of *most* examples, which the long tier draws, those of a usual run: a quarter, and at least 25."""
    return max(min(most, _LEAST), most // _SHARE) if settings().derandomize else most


def cuts(length: int) -> range:
    """Where a stream of *length* bytes is cut: at each byte in the long tier, at every third in a usual run.

    What ends a line, a letter or a frame stands elsewhere in each event and stream, so of several streams
    some are cut at each place of it.
    """
    return range(0, length, 3 if settings().derandomize else 1)
