"""What callers say of their tools beside what they are."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.caller_tools import allowed_names, forces_one_of, is_for_code, leave_out_notes
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", None),
        ({"type": "function", "function": {"name": "a"}}, None),
        ({"type": "allowed_tools", "allowed_tools": {"tools": "a"}}, None),
        ({"type": "allowed_tools", "allowed_tools": {"tools": []}}, set()),
        (
            {"type": "allowed_tools", "allowed_tools": {"tools": [{"function": {"name": "a"}}, {}, 1]}},
            {"a"},
        ),
    ],
)
def test_allowed_names(choice: object, names: set[str] | None) -> None:
    """None: all of them; what has no name allows nothing."""
    assert allowed_names(choice) == names


@pytest.mark.parametrize(
    ("choice", "is_any", "is_forced"),
    [
        ({"type": "tool", "name": "gone"}, False, True),
        ({"type": "tool", "name": "kept"}, True, False),
        ({"type": "any"}, True, True),
        ({"type": "any"}, False, False),
        ({"type": "auto"}, True, False),
        ({}, True, False),
    ],
)
def test_forces_one_of(choice: dict[str, Any], is_any: bool, is_forced: bool) -> None:  # noqa: FBT001
    """One by name, or any where there is no other."""
    assert forces_one_of(choice, ["gone"], is_any=is_any) is is_forced


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ({}, []),
        ({"input_examples": [], "allowed_callers": ["direct"]}, []),
        ({"input_examples": [{"a": 1}]}, ["tools.input_examples"]),
        ({"allowed_callers": ["code_execution_20250825"]}, ["tools.allowed_callers"]),
    ],
)
def test_notes(tool: dict[str, Any], names: list[str]) -> None:
    """What says something is named."""
    left_out = LeftOut(make_target())
    leave_out_notes(tool, left_out)
    assert left_out.names == names
    assert is_for_code(tool) is ("tools.allowed_callers" in names)
