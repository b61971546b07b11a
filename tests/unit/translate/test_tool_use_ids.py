"""Ids of tool calls for Anthropic."""

from __future__ import annotations

import re

import pytest

from gateway.translate.tool_use_ids import ToolUseIds, tool_use_id


@pytest.mark.parametrize("kept", ["call_1", "toolu-A_9", ""])
def test_what_is_taken_is_kept(kept: str) -> None:
    """A call's id comes back from the model as its caller knows it."""
    assert tool_use_id(kept) == kept


def test_calls_stay_apart() -> None:
    """Ids that differ differ afterwards too, each in letters that are taken, and always the same."""
    asked = ["a.b", "a:b", "a_b", "é", "\ud800"]
    ids = [tool_use_id(call_id) for call_id in asked]
    assert len(set(ids)) == len(asked)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", found) for found in ids)
    assert [tool_use_id(call_id) for call_id in asked] == ids


def test_each_call_has_its_own() -> None:
    """One that comes again gets a number, also beside one that looks like it; results find theirs in turn."""
    ids = ToolUseIds()
    assert [ids.of_call(call_id) for call_id in ("f_2", "f", "f", "", "")] == [
        "f_2",
        "f",
        "f_3",
        "call",
        "call_2",
    ]
    assert [ids.of_result(call_id) for call_id in ("f", "f", "f_2", "")] == ["f", "f_3", "f_2", "call"]


def test_a_result_of_no_call() -> None:
    """It keeps its id, so that Anthropic says what is wrong."""
    assert ToolUseIds().of_result("f") == "f"
