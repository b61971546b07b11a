"""How long a server wants not to be asked again."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.retry_after import MAX_RETRY_AFTER_S, parse_retry_after, wait_in_headers, wish_in_headers

NOW_S: Final = 1_700_000_000.0
MOST_S: Final = 300.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", 0.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("999999", MOST_S),
        ("-3", 0.0),
        ("1.5", 1.5),
        (".25", 0.25),
        ("1.2.3", 0.0),
        (".", 0.0),
        ("1e2", 0.0),
        ("²", 0.0),
        ("soon", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("Tue, 14 Nov 2033 22:13:10 GMT", MOST_S),
        ("Tue, 99 Nov 2023 22:13:10 GMT", 0.0),
    ],
)
def test_retry_after(value: str, expected: float) -> None:
    """Seconds or a date, bounded; what is neither says nothing."""
    assert parse_retry_after(value, NOW_S, most_s=MOST_S) == expected


@given(value=st.text(max_size=60))
def test_any_retry_after_is_a_wait(value: str) -> None:
    """No header value is an error."""
    assert 0.0 <= parse_retry_after(value, NOW_S, most_s=MOST_S) <= MOST_S


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], 0.0),
        ([(b"retry-after", b"3")], 3.0),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"1")], 0.25),
        ([(b"retry-after", b"1"), (b"retry-after-ms", b"250")], 0.25),
        ([(b"retry-after-ms", b"1e99")], MAX_RETRY_AFTER_S),
        ([(b"retry-after-ms", b"-1"), (b"retry-after", b"2")], 2.0),
        ([(b"retry-after-ms", b"nan")], 0.0),
        ([(b"retry-after-ms", b"soon"), (b"retry-after", b"\xff")], 0.0),
        ([(b"retry-after", b"Tue, 14 Nov 2023 22:13:30 GMT")], 10.0),
    ],
)
def test_wait_in_headers(headers: list[tuple[bytes, bytes]], expected: float) -> None:
    """Milliseconds, where they are there, are the exacter wish."""
    assert wait_in_headers(headers, NOW_S) == expected


def test_wish_in_headers() -> None:
    """What says it is passed on as it came, and nothing else."""
    headers = [(b"date", b"x"), (b"retry-after", b"1"), (b"retry-after-ms", b"250")]
    assert wish_in_headers(headers) == (("retry-after", "1"), ("retry-after-ms", "250"))
    assert wish_in_headers([(b"date", b"x")]) == ()


@given(value=st.binary(max_size=40))
def test_any_header_is_a_wait(value: bytes) -> None:
    """No bytes are an error."""
    for name in (b"retry-after", b"retry-after-ms"):
        assert 0.0 <= wait_in_headers([(name, value)], NOW_S) <= MAX_RETRY_AFTER_S
