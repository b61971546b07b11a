"""Reading a caller's baggage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.baggage import get_all, set_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from gateway.wire.baggage import MAX_HEADER_CHARACTERS, MAX_MEMBER_CHARACTERS, MAX_MEMBERS, parse_baggage


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], {}),
        ([""], {}),
        (["a=1"], {"a": "1"}),
        (["a=1,b=2", "c=3"], {"a": "1", "b": "2", "c": "3"}),
        ([" a \t=\t 1 ; p ; q=2 , b=2"], {"a": "1", "b": "2"}),
        (["a=m%C3%BCller%20%2C%22"], {"a": 'müller ,"'}),
        (["a=%FF%zz%2"], {"a": "\N{REPLACEMENT CHARACTER}%zz%2"}),
        (["a=b=c"], {"a": "b=c"}),
        (["a="], {"a": ""}),
        (["a=1,a=2"], {"a": "2"}),
        (["a=1, ,b=2,"], {"a": "1", "b": "2"}),
        (["a.b-c_d/=1,e=1"], {"e": "1"}),
        (["a,=1, =1,;p,b=1"], {"b": "1"}),
        (['a="1",b=1 2,c=\\,d=ü,e=1'], {"e": "1"}),
    ],
)
def test_members(headers: list[str], expected: dict[str, str]) -> None:
    """Blanks and properties go, percent-encoding is undone, and what is malformed spoils no other member."""
    assert parse_baggage(headers) == expected


def test_bounds() -> None:
    """What fits is read; beyond them it is as if there were none."""
    value = "x" * (MAX_MEMBER_CHARACTERS - 2)
    assert parse_baggage([f"a={value},b=1"]) == {"a": value, "b": "1"}
    assert parse_baggage([f"a={value}x,b=1"]) == {"b": "1"}
    members = [f"k{n}=1" for n in range(MAX_MEMBERS)]
    assert len(parse_baggage(members)) == MAX_MEMBERS
    assert parse_baggage([*members, "more=1"]) == {}
    assert parse_baggage(["a=1", "x" * MAX_HEADER_CHARACTERS]) == {}


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True), st.text(max_size=40), max_size=20
    )
)
def test_what_opentelemetry_writes_is_read(members: dict[str, str]) -> None:
    """Whatever the values are."""
    context = Context()
    for key, value in members.items():
        context = set_baggage(key, value.encode(errors="replace").decode(), context)
    carrier: dict[str, str] = {}
    W3CBaggagePropagator().inject(carrier, context)
    read = parse_baggage([carrier["baggage"]] if carrier else [])
    # Its writer encodes a blank as `+`, which the specification does not know.
    assert {key: value.replace("+", " ") for key, value in read.items()} == {
        key: str(value).replace("+", " ") for key, value in get_all(context).items()
    }


@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_text_is_read(headers: list[str]) -> None:
    """Nothing that a caller sends is an error."""
    assert all(isinstance(value, str) for value in parse_baggage(headers).values())
