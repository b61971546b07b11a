"""Names of tools at Gemini."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.gemini_tool_names import NamesAtGemini, gemini_name
from tests.unit.makers import make_call


@given(st.text(min_size=1) | st.text("0a-", min_size=60, max_size=70))
def test_any_name_is_taken(name: str) -> None:
    """Whatever it is, Gemini gets letters of its own, as many as it takes, and the caller its name back."""
    taken = gemini_name(name)
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}", taken)
    call = make_call(tools=[{"type": "function", "function": {"name": name}}, {"name": "other"}])
    assert NamesAtGemini(call).of(taken) == name


@pytest.mark.parametrize("name", ["weather", "_x", "mcp.server:tool-1", "a" * 64, ""])
def test_what_is_kept(name: str) -> None:
    """A name that Gemini takes, and one that is none."""
    assert gemini_name(name) == name


def test_two_names_stay_two() -> None:
    """Also where they differ in what is replaced alone."""
    assert gemini_name("1-a b") != gemini_name("1-a/b")


def test_names_in_a_namespace() -> None:
    """The name made of both comes back, by which the caller's two are found."""
    inner = [{"type": "function", "name": "magic"}]
    call = make_call(tools=[{"type": "namespace", "name": "21st", "tools": inner}])
    assert NamesAtGemini(call).of(gemini_name("21st__magic")) == "21st__magic"


def test_what_nobody_has() -> None:
    """A name that looks like a changed one and is none of the caller's stays as it is."""
    assert NamesAtGemini(make_call()).of("t_x_0badcafe") == "t_x_0badcafe"
    assert NamesAtGemini(make_call()).of("a" * 64) == "a" * 64
