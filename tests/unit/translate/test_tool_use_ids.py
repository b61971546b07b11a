"""Ids of tool calls for Anthropic."""

from __future__ import annotations

import re

import pytest

from gateway.translate.tool_use_ids import tool_use_id


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
