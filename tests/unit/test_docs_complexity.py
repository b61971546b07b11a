"""The page on complexity says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, get_args

from gateway import classifier
from gateway.model import TierCause
from gateway.routing import complexity_score, prompt_reading

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "complexity.md").read_text(encoding="utf-8")


def rows(text: str) -> list[str]:
    """The lines of its tables."""
    return [line for line in text.splitlines() if line.startswith("|")]


def test_weights_are_documented() -> None:
    """What counts, and how much, is the module's own table."""
    assert complexity_score.__doc__ is not None
    assert rows(PAGE) == rows(complexity_score.__doc__)


def test_bounds_are_documented() -> None:
    """Where one tier ends, and what is not looked into."""
    assert f"Up to {complexity_score.MOST_OF_SIMPLE} point" in PAGE
    assert f"from {complexity_score.LEAST_OF_COMPLEX} on" in PAGE
    assert f"first and last {prompt_reading.MAX_QUESTION_CHARACTERS // 2:,} characters" in PAGE
    assert f"more than {prompt_reading.MAX_COMMAS:,} members" in PAGE


def test_causes_are_documented() -> None:
    """Every way in which a tier is found."""
    (told,) = re.findall(r"`gateway\.routing\.tier_cause`\): (.*?)\.\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", told)) == set(get_args(TierCause)) - {""}


def test_rests_are_documented() -> None:
    """How long a model is left alone that is too slow."""
    assert classifier.MAX_TIMEOUTS == 3
    assert f"for {classifier.REST_S:g} s after it has been too slow three times in a row" in PAGE
