"""JSON from outside, decoded and encoded whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidBody, UpstreamBadReply
from gateway.translate.loose_json import decode_json, encode_json, encode_reply, encode_request

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 80), 1 << 80)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=5)
    | st.sampled_from(["\ud83d", "\udc00x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_whatever_is_decoded_can_be_encoded(value: Any) -> None:
    """What Python's parser takes goes out as strict JSON in UTF-8."""
    decoded = decode_json(json.dumps(value).encode())
    encode_json(decoded).decode()
    msgspec.json.decode(encode_json(decoded))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        pytest.param({"a": [1, "ü"]}, '{"a":[1,"ü"]}', id="plain"),
        pytest.param("\ud83d", '"?"', id="half a surrogate pair"),
        pytest.param([1 << 70, float("nan"), (1,)], f"[{1 << 70},null,[1]]", id="big number, no number"),
        pytest.param({"\ud83d": ["\udc00", 1], "b": msgspec.Raw(b"[1]")}, '{"?":["?",1],"b":[1]}', id="deep"),
    ],
)
def test_encoded(value: Any, encoded: str) -> None:
    """What JSON or UTF-8 has no word for is replaced."""
    assert encode_json(value).decode() == encoded


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"<html>"])
def test_what_is_no_json(data: bytes) -> None:
    """Is refused."""
    with pytest.raises(ValueError, match=r".*"):
        decode_json(data)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def test_what_is_nested_too_deeply() -> None:
    """Is the fault of who sent it: the caller, or the provider."""
    with pytest.raises(InvalidBody):
        encode_request(nested(100_000))
    with pytest.raises(UpstreamBadReply):
        encode_reply(nested(100_000))
    assert encode_request(nested(3)) == encode_reply(nested(3)) == b'[[["x"]]]'
