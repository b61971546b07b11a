"""Files as Converse takes them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.translate.converse_media import Documents, film, inline, picture, read_url, sound

LEGAL = re.compile(r"(?:[A-Za-z0-9()\[\]-]+ ?)+")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:image/PNG;base64,AAAA", ("image/png", {"bytes": "AAAA"})),
        ("data:;base64,AAAA", ("", {"bytes": "AAAA"})),
        ("data:text/plain;charset=utf-8;base64,AAAA", ("text/plain", {"bytes": "AAAA"})),
        ("s3://b/x.PDF", ("pdf", {"s3Location": {"uri": "s3://b/x.PDF"}})),
        ("S3://b/x.png?y=1", ("png", {"s3Location": {"uri": "S3://b/x.png"}})),
        (
            "s3://b/x.png?bucketOwner=123456789012",
            ("png", {"s3Location": {"uri": "s3://b/x.png", "bucketOwner": "123456789012"}}),
        ),
    ],
)
def test_addresses(url: str, expected: Any) -> None:
    """Of data, and of places in S3."""
    assert read_url(url, "x") == expected


@pytest.mark.parametrize("url", ["https://x.test/a.png", "http://x.test", "gs://b/a.png", "a.png", ""])
def test_addresses_of_the_web(url: str) -> None:
    """Bedrock fetches none; the error says what to do instead."""
    with pytest.raises(UnsupportedParameter, match="s3://") as caught:
        read_url(url, "messages.content.image_url")
    assert caught.value.param == "messages.content.image_url"


def test_data_without_base64() -> None:
    """Is its caller's mistake."""
    with pytest.raises(InvalidBody, match="base64"):
        read_url("data:image/svg+xml,<svg/>", "x")


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("image/jpeg", "AAAA", "jpeg"),
        ("image/jpg", "AAAA", "jpeg"),
        ("", "/9j/AAAA", "jpeg"),
        ("image/jpeg", "iVBORw0KGgoAAAA", "png"),
        ("application/octet-stream", "R0lGODlhAAAA", "gif"),
        ("", "UklGRgAAAA", "webp"),
    ],
)
def test_pictures(kind: str, data: str, expected: str) -> None:
    """By what they are, else by what they say they are."""
    assert picture(inline(kind, data), "x")["image"]["format"] == expected


def test_films_and_sounds() -> None:
    """Each with its format."""
    assert film(inline("video/quicktime", "A"), "x")["video"]["format"] == "mov"
    assert film(inline("video/3gpp", "A"), "x")["video"]["format"] == "three_gp"
    assert sound(inline("mp3", "A"), "x")["audio"]["format"] == "mp3"
    assert sound(inline("audio/x-wav", "A"), "x")["audio"]["format"] == "wav"


@pytest.mark.parametrize("make", [picture, film, sound])
def test_unknown_formats(make: Any) -> None:
    """Are refused, with those that there are."""
    with pytest.raises(UnsupportedParameter, match=r'"x/strange" file\. Send '):
        make(inline("x/strange", "AAAA"), "at")
    with pytest.raises(UnsupportedParameter, match="unknown format"):
        make(inline("", "AAAA"), "at")


@pytest.mark.parametrize(
    ("kind", "title", "expected"),
    [
        ("application/pdf", "", ("document", "pdf")),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "", ("document", "docx")),
        ("application/octet-stream", "a.XLSX", ("document", "xlsx")),
        ("text/x-python", "a.py", ("document", "txt")),
        ("text/markdown", "", ("document", "md")),
        ("image/png", "", ("image", "png")),
        ("png", "", ("image", "png")),
        ("video/mp4", "", ("video", "mp4")),
        ("mp4", "", ("video", "mp4")),
        ("audio/mpeg", "", ("audio", "mp3")),
        ("flac", "", ("audio", "flac")),
    ],
)
def test_files(kind: str, title: str, expected: tuple[str, str]) -> None:
    """What came as a file is a document, or a picture, film or recording."""
    ((name, block),) = Documents().file(inline(kind, "AAAA"), title, "x").items()
    assert (name, block["format"]) == expected


def test_unknown_files() -> None:
    """Are refused, with the formats that there are."""
    with pytest.raises(UnsupportedParameter, match=r"application/zip.*PDF"):
        Documents().file(inline("application/zip", "AAAA"), "a.zip", "x")


@given(st.lists(st.text() | st.sampled_from(["a.pdf", "a", "a 2", "x" * 300, "ä"]), max_size=12))
def test_names(titles: list[str]) -> None:
    """Whatever files are called, Bedrock takes their names, and no two are the same."""
    documents = Documents()
    names = [documents.text("x", title)["document"]["name"] for title in titles]
    assert len(set(names)) == len(names)
    assert all(LEGAL.fullmatch(name) and len(name) <= 200 for name in names)


def test_texts() -> None:
    """A document may be nothing but text, or pieces of it."""
    documents = Documents()
    assert documents.text("grün", "")["document"]["source"] == {"bytes": "Z3LDvG4="}
    assert documents.pieces(["a", "b"], "")["document"]["source"] == {
        "content": [{"text": "a"}, {"text": "b"}]
    }
