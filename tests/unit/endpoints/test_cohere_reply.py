"""Replies of Cohere's chat, and what they say they used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from gateway.endpoints.cohere_reply import read_cohere_chat, read_cohere_usage
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from tests.golden.cohere_replies import REPLIES, reply
from tests.unit.translate.foreign_streams import json_of


def test_facts() -> None:
    """The id, the reason in Cohere's words, and both counts; the model it does not say."""
    _, facts = read_cohere_chat(json.dumps(REPLIES["tools"]).encode(), asked_bytes=40)
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == ("c14c80c3", "", ("TOOL_CALL",))
    assert facts.usage == Usage(71, 27, "provider", 64, billed_input_tokens=5, billed_output_tokens=26)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"tokens": {"input_tokens": 3, "output_tokens": 4}}, Usage(3, 4, "provider")),
        (
            {"billed_units": {"input_tokens": 3.0, "output_tokens": 4.0}},
            Usage(3, 4, "provider", billed_input_tokens=3, billed_output_tokens=4),
        ),
        ({"tokens": {"input_tokens": 3}}, Usage(3, None, "provider")),
        ({"tokens": {"input_tokens": "3"}}, None),
        ({"tokens": []}, None),
        (None, None),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    """What was read and written is told; what is billed beside it."""
    assert read_cohere_usage(usage) == expected


def test_no_usage_is_estimated() -> None:
    """From sizes, and marked as such."""
    _, facts = read_cohere_chat(b'{"message":{}}', asked_bytes=40)
    assert facts.usage == Usage(10, 3, "estimated")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"message":"x"}',
        json.dumps(reply(reason="ERROR")).encode(),
        b'{"error":{}}',
    ],
)
def test_no_reply(body: bytes) -> None:
    """A page, an error inside, a reply that failed."""
    with pytest.raises(UpstreamBadReply):
        read_cohere_chat(body, asked_bytes=0)


@given(json_of("usage", "tokens", "billed_units", "message", "finish_reason", "input_tokens"))
def test_any_reply(value: Any) -> None:
    """Whatever it is, it is read or it is no reply."""
    try:
        read_cohere_chat(json.dumps({"message": {}, "usage": value}).encode(), asked_bytes=0)
        read_cohere_chat(json.dumps(value).encode(), asked_bytes=0)
    except UpstreamBadReply:
        return
