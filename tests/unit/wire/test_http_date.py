"""Dates in HTTP headers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http_date import parse_http_date


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize(
    "text",
    [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tuesday, 14-Nov-23 22:13:20 GMT",
        "Tue Nov 14 22:13:20 2023",
        "Tue, 14 Nov 2023 22:13:20 -0000",
        "Tue, 14 Nov 2023 22:13:20",
        "Tue, 14 Nov 2023 23:13:20 +0100",
    ],
)
def test_a_date_is_in_utc_wherever_we_are(text: str) -> None:
    """In all three forms of HTTP, and in those that others write."""
    assert parse_http_date(text) == 1_700_000_000.0


@pytest.mark.parametrize(
    "text", ["", "soon", "Tue, 99 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:20 +99999999999999999"]
)
def test_what_is_no_date(text: str) -> None:
    """It is an error of one kind."""
    with pytest.raises(ValueError, match=r"."):
        parse_http_date(text)


@given(text=st.text(max_size=60) | st.text(alphabet="0123456789 ,:+-GMTueNov", max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    """No header value is another error."""
    with contextlib.suppress(ValueError):
        parse_http_date(text)
