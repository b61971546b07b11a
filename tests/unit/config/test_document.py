"""A document knows where its fields stand, and shows nothing of what they hold."""

from pathlib import Path

import pytest

from gateway.config.document import STRICT, Document
from gateway.config.problem import Severity

DOCUMENT = Document(
    "t", "n", {"api_key": "canary"}, Path("m.yaml"), 4, {("a",): 5, ("a", 0): 6, ("a", 0, "b"): 7}
)


def test_the_nearest_written_line() -> None:
    """A missing field is shown at the part that should have it."""
    assert DOCUMENT.line_of(("a", 0, "b")) == 7
    assert DOCUMENT.line_of(("a", 0, "missing")) == 6
    assert DOCUMENT.line_of(("elsewhere",)) == 4
    assert DOCUMENT.line_of(()) == 4


def test_problems_carry_file_line_and_path() -> None:
    """An error and a warning differ in severity only; no path means the whole manifest."""
    error = DOCUMENT.error(("a", 0, "b"), "what", "fix")
    assert (error.file, error.line, error.path, error.severity) == (
        Path("m.yaml"),
        7,
        "a.0.b",
        Severity.ERROR,
    )
    warning = DOCUMENT.warning((), "what", "fix")
    assert (warning.line, warning.path, warning.severity) == (4, "(file)", Severity.WARNING)


@pytest.mark.parametrize(
    ("severity", "fix"),
    [(Severity.WARNING, "fix; until then so"), (Severity.ERROR, f"fix; until then {STRICT}")],
)
def test_what_is_missing(severity: Severity, fix: str) -> None:
    """A warning says what follows; an error that strict mode alone makes it one."""
    assert DOCUMENT.lack(severity, (), "what", "fix", meanwhile="so").fix == fix


def test_a_literal_secret_is_not_shown() -> None:
    """Not even by `repr`, which ends up in logs."""
    assert "canary" not in repr(DOCUMENT)
