"""Names of tools at Cohere."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.cohere_tool_names import CallersNames, taken_name
from tests.unit.makers import make_call


@given(st.text(min_size=1))
def test_any_name_is_taken(name: str) -> None:
    """Whatever it is, Cohere gets letters, digits and underscores, and the caller its own back."""
    taken = taken_name(name)
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", taken)
    call = make_call(tools=[{"type": "function", "function": {"name": name}}, {"name": "other"}])
    assert CallersNames(call).of(taken) == name


def test_two_names_stay_two() -> None:
    """Also where they differ in what is replaced alone."""
    assert taken_name("a-b") != taken_name("a.b")
    assert taken_name("a_b") == "a_b"


def test_what_nobody_has() -> None:
    """A name that looks like a changed one and is none of the caller's stays as it is."""
    assert CallersNames(make_call()).of("t_x_0badcafe") == "t_x_0badcafe"
    assert CallersNames(make_call(functions=[{"name": "a-b"}])).of(taken_name("a-b")) == "a-b"
