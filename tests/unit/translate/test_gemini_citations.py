"""Sources of Gemini's answers, and where in the text they belong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.gemini_citations import Citation, citations_of

SOURCE = {"web": {"uri": "https://a.test/", "title": "A"}}


def supported(segment: Any, *indices: Any) -> dict[str, Any]:
    support = {"segment": segment, "groundingChunkIndices": list(indices)}
    return {"groundingMetadata": {"groundingChunks": [SOURCE], "groundingSupports": [support]}}


@pytest.mark.parametrize(
    ("segment", "start", "end", "text"),
    [
        ({"startIndex": 7, "endIndex": 14, "text": "Grüße"}, 7, 12, "Grüße"),
        ({"endIndex": 5}, 0, 5, "Hallo"),
        # Of another part: found by what it says.
        ({"startIndex": 0, "endIndex": 7, "text": "Grüße"}, 7, 12, "Grüße"),
        ({"startIndex": 0, "endIndex": 99, "text": "elsewhere"}, 0, 0, ""),
        ({"startIndex": 5, "endIndex": 2}, 0, 0, ""),
        ("x", 0, 0, ""),
    ],
)
def test_places(segment: Any, start: int, end: int, text: str) -> None:
    """Google counts bytes, callers want characters; what cannot be placed belongs to the whole."""
    found = citations_of(supported(segment, 0), "Hallo, Grüße")
    assert found == [Citation("https://a.test/", "A", start, end, text)]


def test_sources_without_a_place() -> None:
    """They are told once each, and those without an address not at all."""
    chunks = [
        SOURCE,
        SOURCE,
        {"maps": {"uri": "https://m.test/"}},
        {"image": {"sourceUri": "https://i.test/"}},
        {"web": {}},
        7,
    ]
    found = citations_of({"groundingMetadata": {"groundingChunks": chunks}}, "x")
    assert [each.url for each in found] == ["https://a.test/", "https://m.test/", "https://i.test/"]


def test_recitations() -> None:
    """Also under the name they had before."""
    for name in ("citations", "citationSources"):
        found = citations_of(
            {"citationMetadata": {name: [{"endIndex": 2, "uri": "https://r.test/"}, {}]}}, "abc"
        )
        assert found == [Citation("https://r.test/", "", 0, 2, "ab")]


@given(st.integers() | st.none(), st.integers() | st.text(), st.text())
def test_any_place(start: Any, index: Any, text: str) -> None:
    """Whatever is said, the place is within the text."""
    for each in citations_of(
        supported({"startIndex": start, "endIndex": index, "text": index}, index, 0), text
    ):
        assert 0 <= each.start <= each.end <= len(text)
