"""An array that comes in pieces, cut after its elements."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from gateway.errors import UpstreamBadReply
from gateway.wire import json_array
from gateway.wire.json_array import ArrayCutter, element_of

ELEMENTS: list[Any] = [
    {"text": 'a "quoted" word, and }] in it', "more": [1, [2, {"x": "\\"}]]},
    {"text": 'back\\slashes \\\\ and "', "é": "空"},
    {},
    {"a": {"b": {"c": [[], {}]}}},
]
TEXT = b"[" + b",\r\n".join(json.dumps(one, ensure_ascii=False).encode() for one in ELEMENTS) + b"\n]\n"


def cut_at(*places: int) -> tuple[list[bytes], ArrayCutter]:
    cutter = ArrayCutter()
    pieces = []
    for begin, end in zip((0, *places), (*places, len(TEXT)), strict=True):
        pieces += cutter.cut(TEXT[begin:end])
    return pieces, cutter


@pytest.mark.parametrize("place", range(len(TEXT) + 1))
def test_any_cut_gives_the_same_pieces(place: int) -> None:
    """Wherever the text is cut, each element comes once and whole, and no byte is changed."""
    pieces, cutter = cut_at(place)
    assert [json.loads(element_of(piece)) for piece in pieces] == ELEMENTS
    assert b"".join(pieces) + cutter.tail == TEXT
    assert (cutter.is_closed, cutter.tail) == (True, b"\n]\n")


def test_byte_by_byte() -> None:
    """An element is given when its last byte has come, and not before."""
    cutter = ArrayCutter()
    given = [(at, piece) for at in range(len(TEXT)) for piece in cutter.cut(TEXT[at : at + 1])]
    assert [json.loads(element_of(piece)) for _, piece in given] == ELEMENTS
    assert [TEXT[: at + 1].endswith(piece) for at, piece in given] == [True] * len(ELEMENTS)


def test_many_cuts() -> None:
    """The same for any number of them."""
    random = Random(5)
    for _ in range(300):
        places = sorted(random.choices(range(len(TEXT) + 1), k=random.randint(2, 30)))
        pieces, cutter = cut_at(*places)
        assert [json.loads(element_of(piece)) for piece in pieces] == ELEMENTS
        assert cutter.is_closed


def test_half_an_array() -> None:
    """One that breaks off is not closed, and its half element is in the tail."""
    cutter = ArrayCutter()
    assert cutter.cut(b'[{"a":1},{"b') == [b'[{"a":1}']
    assert (cutter.is_closed, cutter.tail) == (False, b',{"b')


def test_empty_array() -> None:
    """It has no elements, and is closed."""
    cutter = ArrayCutter()
    assert (cutter.cut(b"[]"), cutter.is_closed) == ([], True)


@pytest.mark.parametrize("text", [b'{"error": 1}', b"]", b"{"], ids=["object", "end", "half"])
def test_no_array(text: bytes) -> None:
    """What begins otherwise is refused at once."""
    with pytest.raises(UpstreamBadReply, match="something else"):
        ArrayCutter().cut(text)


def test_long_element(monkeypatch: pytest.MonkeyPatch) -> None:
    """An element that goes on and on is refused before it fills the memory."""
    monkeypatch.setattr(json_array, "MAX_EVENT_BYTES", 100)
    cutter = ArrayCutter()
    assert cutter.cut(b'[{"a":"' + b"x" * 80) == []
    with pytest.raises(UpstreamBadReply, match="over 100 bytes"):
        cutter.cut(b"x" * 80)


def test_what_follows_the_end_is_no_element() -> None:
    """Whatever a server appends is left alone."""
    cutter = ArrayCutter()
    assert cutter.cut(b'[{"a":1}] {"b":2}]') == [b'[{"a":1}']
    assert cutter.is_closed
