"""Tests of changing some members of a body."""

from __future__ import annotations

import msgspec
import pytest

from gateway.translate.body_members import Members, object_in, put, put_object, raw, value_in


def members(text: str) -> Members:
    """A body's."""
    return msgspec.json.decode(text, type=Members)


def test_other_members_stay_the_bytes_they_were() -> None:
    """A long number and an odd escape are no business of whoever changes something else."""
    found = members(r'{"a": 1.00000000000000000001, "b": "\u0041", "c": {"d": 1e2, "e": 1}}')
    put(found, "b", b"2")
    inner = object_in(found, "c")
    put(inner, "e", b"3")
    put_object(found, "c", inner)
    assert msgspec.json.encode(found) == b'{"a":1.00000000000000000001,"b":2,"c":{"d":1e2,"e":3}}'


def test_null_takes_a_member_away() -> None:
    """One that is not there is none."""
    found = members('{"a":1}')
    put(found, "a", b"null")
    put(found, "b", b"null")
    assert found == {}


def test_an_emptied_object_goes_and_no_object_stays() -> None:
    """What the provider will refuse is for the provider to refuse."""
    found = members('{"emptied":{"a":1},"text":"x","empty":{}}')
    for name in ("emptied", "text", "empty", "absent"):
        put_object(found, name, {})
    assert msgspec.json.encode(found) == b'{"text":"x","empty":{}}'


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null", "[" * 100_000])
def test_what_is_no_object_has_no_members(text: str) -> None:
    """Nor does what is nested too deeply."""
    found = {"a": msgspec.Raw(text.encode())}
    assert object_in(found, "a") == {}
    assert object_in(found, "b") == {}


def test_values_are_decoded_where_that_is_possible() -> None:
    """What cannot be read is as if it were not there."""
    found = {"a": raw([1, "x"]), "b": msgspec.Raw(b"[" * 100_000)}
    assert value_in(found, "a") == [1, "x"]
    assert value_in(found, "b") is None
    assert value_in(found, "c") is None
