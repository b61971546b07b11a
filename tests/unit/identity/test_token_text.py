"""What new tokens look like."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.token_text import RANDOM_BYTES, opaque_token, token_id
from tests.rig.token_form import is_opaque_token


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), st.integers(4, 52), st.integers(1, 61))
def test_form(random: bytes, at: int, by: int) -> None:
    """Recognised by a pattern and a check, which no other letter in any place passes."""
    token = opaque_token(random)
    assert re.fullmatch(r"gwk_[0-9A-Za-z]{49}", token)
    assert is_opaque_token(token)
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    other = digits[(digits.index(token[at]) + by) % 62]
    assert not is_opaque_token(token[:at] + other + token[at + 1 :])


def test_all_bits_are_in_it() -> None:
    """Each of the 256 makes another token."""
    tokens = {opaque_token((1 << bit).to_bytes(RANDOM_BYTES)) for bit in range(256)}
    assert len(tokens) == 256
    assert len(opaque_token(b"\xff" * RANDOM_BYTES)) == len(opaque_token(b"\0" * RANDOM_BYTES)) == 53


@pytest.mark.parametrize("size", [0, 31, 33])
def test_too_little_randomness(size: int) -> None:
    """Nothing is made of it."""
    with pytest.raises(ValueError, match="32 bytes"):
        opaque_token(b"x" * size)


def test_ids() -> None:
    """Short words for people, that differ as their bytes do."""
    assert re.fullmatch(r"t-[2-9a-z]{8}", token_id(b"\x00\x11\x22\x33\x44"))
    assert len({token_id(bytes((0, 0, 0, 0, byte))) for byte in range(256)}) == 256
