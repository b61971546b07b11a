"""A problem is one line, or one JSON object."""

from pathlib import Path

from gateway.config.problem import Problem, Severity, dotted

PROBLEM = Problem(Path("c/m.yaml"), 3, "a.0.b", Severity.WARNING, "unknown field", "Did you mean 'c'?")


def test_as_text() -> None:
    """FILE:LINE: PATH: what. how to mend."""
    assert str(PROBLEM) == "c/m.yaml:3: a.0.b: unknown field. Did you mean 'c'?"


def test_as_json() -> None:
    """The six members that `check-config --format json` promises."""
    assert PROBLEM.to_dict() == {
        "file": "c/m.yaml",
        "line": 3,
        "path": "a.0.b",
        "severity": "warning",
        "message": "unknown field",
        "fix": "Did you mean 'c'?",
    }


def test_dotted() -> None:
    """Positions and names alike."""
    assert dotted(("a", 0, "b.c")) == "a.0.b.c"
