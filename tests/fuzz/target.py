"""What a fuzz target is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

Check = Callable[[bytes], None]
"""Tries one input; raises where a rule does not hold."""


@dataclass(frozen=True)
class Target:
    """One thing that takes bytes from strangers; what holds for all of them stands in README.md.

    Attributes:
        name: Of its corpus, too.
        open: Gives its check, and what that needs while it is used.
        seeds: Inputs to begin with, beside those that were kept.
        words: What inputs are made of, for the fuzzer to put in.
    """

    name: str
    open: Callable[[], AbstractContextManager[Check]]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...] = ()


def quoted(words: str) -> tuple[bytes, ...]:
    """Each of *words*, between blanks, as JSON writes it."""
    return tuple([f'"{word}"'.encode() for word in words.split()])
