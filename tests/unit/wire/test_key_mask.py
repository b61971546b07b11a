"""Keys in what comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.key_mask import KeyMask

KEY = b"sk-abcabcd"
OTHER = b"Bearer sk-abcabcd"
LONGER = b"sk-abcabcd-more"


def masked(*pieces: bytes, keys: tuple[bytes, ...] = (KEY,)) -> list[bytes]:
    mask = KeyMask(keys)
    return [*map(mask.feed, pieces), mask.finish()]


@pytest.mark.parametrize("place", range(len(KEY) + 5))
def test_across_two_pieces(place: int) -> None:
    """Wherever it is cut; what stands there is as long."""
    text = b"a " + KEY + b" b"
    assert b"".join(masked(text[:place], text[place:])) == b"a ********** b"


@given(
    st.lists(
        st.sampled_from([KEY, OTHER, b"sk-", b"abc", b"d", b"s", b"sk-abcabc", b"\n", b"Bearer ", b"x"])
    ),
    st.data(),
)
def test_any_cut(parts: list[bytes], data: st.DataObject) -> None:
    """However it comes, no key does, and all else is as it was."""
    text = b"".join(parts)
    mask = KeyMask((KEY,))
    got = b""
    at = 0
    while at < len(text):
        step = data.draw(st.integers(1, 12))
        got += mask.feed(text[at : at + step])
        at += step
    got += mask.finish()
    assert got == text.replace(KEY, b"*" * len(KEY))


@pytest.mark.parametrize("keys", [(KEY, OTHER), (OTHER, KEY)])
def test_keys_within_each_other(keys: tuple[bytes, ...]) -> None:
    """A header's value and the key in it: no order leaves one of them."""
    for place in range(len(OTHER) + 1):
        text = b"".join(masked(OTHER[:place], OTHER[place:], keys=keys))
        assert KEY not in text
        assert len(text) == len(OTHER)


def whole(text: bytes, keys: tuple[bytes, ...]) -> bytes:
    """*text* with every byte masked that is in one of *keys*."""
    within = {
        at + of
        for key in keys
        for at in range(len(text))
        if text.startswith(key, at)
        for of in range(len(key))
    }
    return bytes(ord("*") if at in within else byte for at, byte in enumerate(text))


@pytest.mark.parametrize("keys", [(KEY, LONGER), (LONGER, KEY), (OTHER, LONGER), (KEY, OTHER, LONGER)])
@pytest.mark.parametrize("text", [KEY, LONGER, b"a " + LONGER[:-1] + b" b", b"Bearer " + LONGER + b"\n"])
def test_keys_that_begin_and_overlap_each_other(keys: tuple[bytes, ...], text: bytes) -> None:
    """Nothing shows of a longer one, wherever it is cut; a shorter one is masked for itself too."""
    expected = whole(text, keys)
    for place in range(len(text) + 1):
        assert b"".join(masked(text[:place], text[place:], keys=keys)) == expected
    assert b"".join(masked(*(text[at : at + 1] for at in range(len(text))), keys=keys)) == expected


def test_what_is_held_back() -> None:
    """Only what may go on as a key, until it does not; an event never."""
    assert masked(b"data: sk-\n\n", b"sk", b"-x", b"ends") == [b"data: sk-\n\n", b"", b"sk-x", b"end", b"s"]


def test_short_keys() -> None:
    """One byte needs nothing held."""
    assert masked(b"axa", keys=(b"x",)) == [b"a*a", b""]
