"""Where an editor marks what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.problem import Problem, Severity
from gateway.config.yaml_places import Places

TEXT = "type: a\nlist:\n  - b: 1\n    c: {d: 2}\n  - e\n"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("type", (1, 1)),
        ("list.0.c.d", (4, 9)),
        ("list.0.missing", (3, 5)),
        ("list.1", (5, 5)),
        ("(file)", (7, 1)),
    ],
)
def test_fields(path: str, place: tuple[int, int]) -> None:
    """Of its key, or of what is around it; else the line that was said."""
    assert Places(TEXT).of(Problem(Path("a"), 7, path, Severity.ERROR, "m", "f")) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: b: c\n", (1, 5)),
        ("a: [b\n", (1, 1)),
        ("a: \x00", (7, 1)),
        ("[" * 100, (1, 1)),
        ("a: &a [*a]", (7, 1)),
    ],
)
def test_what_cannot_be_read(text: str, place: tuple[int, int]) -> None:
    """The place where the reading ended, as far as it is known."""
    problem = Problem(Path("a"), 7, "(syntax)", Severity.ERROR, "m", "f")
    assert Places(text).of(problem) == place
