"""Types of pictures."""

from __future__ import annotations

import pytest

from gateway.translate.picture_types import picture_format, picture_type, usual_type


@pytest.mark.parametrize(
    ("named", "data", "expected"),
    [
        ("image/jpg", "iVBORw0KGgoAAAAN", "image/png"),
        ("image/png", "/9j/4AAQSkZJRg", "image/jpeg"),
        ("image/png", "R0lGODlhAQAB", "image/gif"),
        ("image/png", "UklGRhIAAABX", "image/webp"),
        ("image/jpg", "AAAA", "image/jpeg"),
        ("IMAGE/JPG", "", "image/jpeg"),
        ("image/heic", "AAAA", "image/heic"),
    ],
)
def test_what_a_picture_is(named: str, data: str, expected: str) -> None:
    """What its data shows counts, then the usual word for what it is called."""
    assert picture_type(named, data) == expected


def test_what_shows_nothing() -> None:
    """Other types stay as they are."""
    assert picture_format("AAAA") == ""
    assert usual_type("audio/wav") == "audio/wav"
