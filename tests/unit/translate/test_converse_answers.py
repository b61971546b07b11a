"""What an answer of Converse says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from gateway.translate.converse_answers import (
    citations_in,
    cited_text_of,
    content_of,
    redacted_of,
    text_in,
    thought_of,
    tool_of,
    url_of,
)
from tests.golden.converse_replies import OF_BEDROCK, PAGE, TEXT, USES, WEB, converse_reply
from tests.unit.translate.foreign_streams import json_of

CITED: dict[str, Any] = {"citationsContent": {"content": [TEXT, TEXT], "citations": [WEB, PAGE]}}


def test_texts_and_what_they_rest_on() -> None:
    """Cited or not."""
    assert content_of(converse_reply(TEXT, CITED)) == [TEXT, CITED]
    assert (text_in(TEXT), citations_in(TEXT)) == ("Hello there", [])
    assert (text_in(CITED), citations_in(CITED)) == ("Hello thereHello there", [WEB, PAGE])
    assert text_in(USES[0]) is None
    assert (url_of(WEB), url_of(PAGE)) == ("https://x.test", "")
    assert cited_text_of(PAGE) == "y"


def test_tools() -> None:
    """Those of the caller; what Bedrock runs itself is none of them."""
    assert tool_of(USES[0]) == USES[0]["toolUse"]
    assert tool_of(OF_BEDROCK[0]) is None
    assert tool_of({"toolUse": {}}) is None


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ({"reasoningText": {"text": "hm"}}, {"type": "thinking", "thinking": "hm"}),
        (
            {"reasoningText": {"text": "hm", "signature": "s"}},
            {"type": "thinking", "thinking": "hm", "signature": "s"},
        ),
        ({"redactedContent": "eHl6"}, {"type": "redacted_thinking", "data": "xyz"}),
        ({}, {"type": "thinking", "thinking": ""}),
    ],
)
def test_thoughts(reasoning: dict[str, Any], expected: dict[str, Any]) -> None:
    """As Anthropic has them."""
    assert thought_of(reasoning) == expected


def test_no_base64() -> None:
    """Is taken as it is."""
    assert redacted_of("ä") == "ä"
    assert redacted_of(None) == ""


@given(json_of("output", "message", "content", "text", "citationsContent", "toolUse", "location", "web"))
def test_anything(value: Any) -> None:
    """Whatever it is, something is read of it."""
    for block in content_of(
        value if isinstance(value, dict) else {"output": {"message": {"content": [value]}}}
    ):
        text_in(block)
        tool_of(block)
        for citation in citations_in(block):
            url_of(citation)
