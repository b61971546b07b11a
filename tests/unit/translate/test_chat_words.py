"""What messages of chats say, in the ways of several servers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.chat_words import cited_pages, shown_thoughts

THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("said", "thoughts"),
    [
        pytest.param({"content": "Hi", "reasoning_content": "hm"}, "hm", id="DeepSeek's"),
        pytest.param({"content": "Hi", "reasoning": "hm"}, "hm", id="Groq's"),
        pytest.param({"content": [THOUGHT, {"type": "text", "text": "Hi"}]}, "hm", id="Mistral's"),
        pytest.param({"content": None}, "", id="none"),
    ],
)
def test_thoughts(said: dict[str, Any], thoughts: str) -> None:
    """Wherever servers put them."""
    assert shown_thoughts(said) == thoughts


def test_pages() -> None:
    """Those of the web alone, with a title where there is one."""
    cited = {"url": "https://x.test", "title": "X", "start_index": 0, "end_index": 2}
    found: list[object] = [
        {"type": "url_citation", "url_citation": cited},
        {"url_citation": {"url": "https://y.test", "title": None}},
        {"type": "file_citation"},
        {"url_citation": {"url": 5}},
        None,
    ]
    assert cited_pages({"annotations": found}) == [("https://x.test", "X"), ("https://y.test", "")]
    assert cited_pages({"annotations": None}) == []
