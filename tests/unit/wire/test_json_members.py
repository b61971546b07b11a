"""An object that comes in pieces, and the members that are wanted of it."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from gateway.wire.json_members import MembersOfObject

OBJECT: dict[str, Any] = {
    "created": 1,
    "picture": "A" * 300 + '"' + "\\" * 3 + "}],{",
    "data": [{"b64_json": "B" * 90, "usage": {"fake": 1}, "e": [[], {}]}, 1.5, -2, "a,b", None],
    "model": 'na"me\\,} \u00e9 空',
    "usage": {"input_tokens": 7, "details": {"text": [1, 2], "usage": {}}},
    "empty": {},
    "id": "x",
}
WANTED = ("model", "usage", "id", "picture", "status")
TEXT = b" \r\n" + json.dumps(OBJECT, ensure_ascii=False, indent=1).encode() + b"\n"
EXPECTED = {name: OBJECT[name] for name in ("model", "usage", "id")}


def found_in(*pieces: bytes, max_bytes: int = 200) -> tuple[dict[str, Any], set[str]]:
    members = MembersOfObject(WANTED, max_bytes=max_bytes)
    for piece in pieces:
        members.feed(piece)
    return {name: json.loads(bytes(raw)) for name, raw in members.found.items()}, members.too_long


@pytest.mark.parametrize("place", range(len(TEXT) + 1))
def test_any_cut_finds_the_same(place: int) -> None:
    """Wherever the text is cut; what is too long is told of by its name."""
    assert found_in(TEXT[:place], TEXT[place:]) == (EXPECTED, {"picture"})


def test_byte_by_byte() -> None:
    """Names below, in lists and within texts are none of the object's."""
    assert found_in(*(TEXT[at : at + 1] for at in range(len(TEXT)))) == (EXPECTED, {"picture"})


def test_many_cuts() -> None:
    """The same for any number of them."""
    random = Random(5)
    for _ in range(300):
        places = [0, *sorted(random.choices(range(len(TEXT) + 1), k=random.randint(2, 30))), len(TEXT)]
        pieces = [TEXT[begin:end] for begin, end in pairwise(places)]
        assert found_in(*pieces) == (EXPECTED, {"picture"})


@pytest.mark.parametrize("place", range(len(TEXT) + 1))
def test_where_it_ends(place: int) -> None:
    """What follows an object is left to whoever reads it, wherever the text is cut."""
    members = MembersOfObject(WANTED, max_bytes=200)
    text = b"x" + TEXT.rstrip() + b",{}"
    first, second = text[: place + 1], text[place + 1 :]
    end = members.feed(first, 1)
    if members.is_over:
        assert first[end:] + second == b",{}"
    else:
        assert end == len(first)
        assert second[members.feed(second) :] == b",{}"
    assert members.is_over
    assert members.feed(b"{}") == 0


def test_whole() -> None:
    """What is short enough is there, in one line or in many."""
    for text in (TEXT, json.dumps(OBJECT).encode()):
        assert found_in(text, max_bytes=1000) == (EXPECTED | {"picture": OBJECT["picture"]}, set())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", {}),
        (b"  ", {}),
        (b"{}", {}),
        (b'[{"id": 1}]', {}),
        (b'"{\\"id\\": 1}"', {}),
        (b'\x1f\x8b\x08{"id": 1}', {}),
        (b'{"id": 1}{"model": 2}', {"id": 1}),
        (b'{"id": 1, "id": 2}', {"id": 2}),
        (b'{"id": 1, "model": 2', {"id": 1}),
        (b'{"id": 1, nothing, "model": 2}', {"id": 1}),
        (b'{"id": 1, "model": \xff, "usage": 2}', {"id": 1}),
        (b'{"id": 1,, "model": 2}', {"id": 1, "model": 2}),
        (b'{"id": 1]], "model": 2}', {"id": 1}),
        (b'{"\\u0069d": 1}', {"id": 1}),
    ],
)
def test_what_is_no_object(text: bytes, expected: dict[str, Any]) -> None:
    """Nothing is raised: what was found until then stands."""
    assert found_in(text) == (expected, set())
    assert found_in(*(text[at : at + 1] for at in range(len(text)))) == (expected, set())


def test_name_that_is_too_long() -> None:
    """It is none that anybody wants, nor is what has no name."""
    for text in (b'{"' + b"i" * 500 + b'": 1, "id": 2}', b"{" + b" " * 500 + b'"id": 1, "id": 2}'):
        assert found_in(text) == ({"id": 2}, set())
