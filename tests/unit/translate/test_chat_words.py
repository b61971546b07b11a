"""What messages of chats say, in the ways of several servers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.chat_words import cited_pages, text_in, thoughts_in

THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]}
TEXT = {"type": "text", "text": "Hi"}


@pytest.mark.parametrize(
    ("said", "text", "thoughts"),
    [
        pytest.param({"content": "Hi", "reasoning_content": "hm"}, "Hi", "hm", id="DeepSeek's"),
        pytest.param({"content": "Hi", "reasoning": "hm"}, "Hi", "hm", id="Groq's"),
        pytest.param({"content": [THOUGHT, TEXT]}, "Hi", "hm", id="Mistral's"),
        pytest.param({"content": [{"type": "thinking", "thinking": "hm"}]}, "", "hm", id="a text in a part"),
        pytest.param({"content": [None, {"thinking": 5}, {"text": []}]}, "", "", id="what is none"),
        pytest.param({"content": None}, "", "", id="nothing"),
    ],
)
def test_words(said: dict[str, Any], text: str, thoughts: str) -> None:
    """Text and thoughts are told apart."""
    assert (text_in(said["content"]), thoughts_in(said)) == (text, thoughts)


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
