"""A few events of a stream, and what they tell of all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.said_sample import SaidSample


def event(text: str) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def sample_of(events: list[bytes]) -> tuple[SaidSample, int]:
    """A sample as a reader makes it, and how many events it took."""
    sample, kept = SaidSample(), 0
    for pieces, one in enumerate(events, 1):
        if pieces >= sample.next_at:
            sample.keep(one, pieces)
            kept += 1
    return sample, kept


@given(st.lists(st.text(alphabet="aä", max_size=9), min_size=1, max_size=16))
def test_few_events_are_exact(texts: list[str]) -> None:
    """Until as many have come as are kept, all are."""
    sample, _ = sample_of([event(text) for text in texts])
    assert sample.said_by(len(texts)) == len("".join(texts).encode())


@given(st.integers(1, 2000), st.integers(0, 100))
def test_equal_events_are_exact(pieces: int, size: int) -> None:
    """However many come, of those that are alike one tells all."""
    sample, kept = sample_of([event("a" * size)] * pieces)
    assert sample.said_by(pieces) == pieces * size
    assert kept <= 16 + 9 * pieces.bit_length(), "the longer a stream is, the more seldom one is kept"


def test_events_are_kept_all_along() -> None:
    """A stream that begins with short thoughts and ends with long words is told by both."""
    sample, _ = sample_of([event("a" * 4)] * 500 + [event("a" * 40)] * 500)
    assert sample.said_by(1000) == pytest.approx(22_000, rel=0.1)


def test_a_long_event_is_not_kept() -> None:
    """A stream of pictures holds no memory here."""
    sample, _ = sample_of([event("a" * 5000), event("a" * 10)])
    assert sample.said_by(2) == 20
    assert SaidSample().said_by(2) == 0


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"[DONE]", b'{"choices": 5}', b"[" * 100_000], ids=lambda d: d[:9]
)
def test_what_is_no_chunk_says_nothing(data: bytes) -> None:
    """Whatever comes, it is counted as without text."""
    sample = SaidSample()
    sample.keep(b"", 1)
    assert sample.next_at == 1, "nothing was there to be kept"
    sample.keep(b"data: " + data + b"\n\n", 1)
    assert sample.said_by(1) == 0


def test_one_of_several_is_kept() -> None:
    """What comes in one piece is as one: the first tells of the others."""
    sample = SaidSample()
    sample.keep(event("a" * 8) + event("b" * 10), 2)
    assert sample.said_by(2) == 16
