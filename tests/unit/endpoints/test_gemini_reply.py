"""Whole replies of generateContent: what they used, why they ended, and which are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.gemini_reply import (
    block_reason_of,
    candidates_of,
    decode_generated,
    finish_reason_of,
    index_of,
    parts_of,
    read_generated,
    read_generated_usage,
)
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from tests.golden.gemini_answers import FAILURES, REPLIES, TEXT, answer, candidate
from tests.rig.requires import requires
from tests.unit.recorded import GEMINI_SHAPED, recorded_answers


def read(reply: dict[str, Any]) -> ReplyFacts:
    body = json.dumps(reply).encode()
    return read_generated(decode_generated(body), asked_bytes=400, reply_bytes=len(body))


def test_facts() -> None:
    """Ids, model, reasons as Google names them, and the sums of what it counts apart."""
    assert read(REPLIES["tools"]) == ReplyFacts(
        "r-1",
        "gemini-x",
        ("STOP",),
        Usage(
            240,
            12,
            "provider",
            cached_input_tokens=200,
            reasoning_output_tokens=5,
            image_input_tokens=30,
        ),
    )
    assert read(REPLIES["several"]).finish_reasons == ("STOP", "STOP")


def test_a_refused_prompt_is_an_answer() -> None:
    """Its reason stands for the one that answers have."""
    assert read(REPLIES["blocked"]).finish_reasons == ("PROHIBITED_CONTENT",)


def test_without_usage_it_is_estimated() -> None:
    """From sizes, and marked."""
    usage = read(REPLIES["without_usage"]).usage
    assert (usage.input_tokens, usage.source) == (100, "estimated")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"",
        json.dumps(FAILURES["nothing"]).encode(),
        json.dumps(FAILURES["error_inside"]).encode(),
        b'{"candidates":[]}',
        b'{"candidates":7,"promptFeedback":{"blockReason":"BLOCKED_REASON_UNSPECIFIED"}}',
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_no_answer(body: bytes) -> None:
    """A page, an error inside, nothing at all: another target may be asked."""
    with pytest.raises(UpstreamBadReply):
        read_generated(decode_generated(body), asked_bytes=0, reply_bytes=len(body))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({"trafficType": "ON_DEMAND"}, None),
        ({"promptTokenCount": -1}, None),
        # What is 0 is not told.
        ({"promptTokenCount": 9, "totalTokenCount": 9}, Usage(9, 0, "provider")),
        ({"promptTokenCount": 9}, Usage(9, None, "provider")),
        (
            {"candidatesTokenCount": 18, "thoughtsTokenCount": 58},
            Usage(None, 76, "provider", reasoning_output_tokens=58),
        ),
        (
            {"promptTokenCount": 5, "thoughtsTokenCount": 4, "totalTokenCount": 9},
            Usage(5, 4, "provider", reasoning_output_tokens=4),
        ),
        # By the total the thoughts are in already.
        (
            {
                "promptTokenCount": 10,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 5,
                "totalTokenCount": 17,
            },
            Usage(10, 7, "provider", reasoning_output_tokens=5),
        ),
        (
            {
                "promptTokenCount": 10,
                "cachedContentTokenCount": 6,
                "candidatesTokenCount": 7,
                "promptTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 3},
                    {"modality": 4, "tokenCount": 1},
                    {"modality": 99, "tokenCount": 1},
                    {"modality": "IMAGE", "tokenCount": None},
                    "x",
                ],
                "cacheTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 2},
                    {"modality": "IMAGE", "tokenCount": 1},
                ],
                "candidatesTokensDetails": [
                    {"modality": "IMAGE", "tokenCount": 5},
                    {"modality": "AUDIO", "tokenCount": 2},
                ],
            },
            Usage(
                10,
                7,
                "provider",
                cached_input_tokens=6,
                audio_input_tokens=4,
                image_input_tokens=0,
                audio_output_tokens=2,
                image_output_tokens=5,
                cached_audio_input_tokens=2,
                cached_image_input_tokens=1,
            ),
        ),
    ],
)
def test_usage(usage: object, expected: Usage | None) -> None:
    """What Google counts apart is added up, what it counts within stays within."""
    assert read_generated_usage(usage) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("STOP", "STOP"), (1, "STOP"), (2, "MAX_TOKENS"), (77, "OTHER"), (True, ""), (None, ""), ({}, "")],
)
def test_reasons_may_be_numbers(reason: object, expected: str) -> None:
    """As Google's older SDKs ask for them; one without a name here is no good end."""
    assert finish_reason_of({"finishReason": reason}) == expected


def test_shapes_that_are_none() -> None:
    """Nothing is read from what is not of the shape."""
    assert candidates_of({"candidates": ["x", {"a": 1}]}) == [{"a": 1}]
    assert parts_of({"content": {"parts": [7, TEXT]}}) == [TEXT]
    assert parts_of({"content": 7}) == []
    assert parts_of({"content": {"parts": 7}}) == []
    assert block_reason_of({"promptFeedback": "x"}) == ""
    assert (index_of({}, 3), index_of({"index": -1}, 3), index_of({"index": 1}, 3)) == (3, 3, 1)
    assert read(answer(candidate(TEXT), responseId=7, modelVersion=None)).response_id == ""


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["candidates", "content", "parts", "usageMetadata", "promptTokenCount", "error"]
                ),
                inner,
            )
        ),
    )
)
def test_any_reply(value: Any) -> None:
    """Whatever comes is read or is a bad reply."""
    body = json.dumps(value).encode()
    try:
        read_generated(decode_generated(body), asked_bytes=0, reply_bytes=len(body))
    except UpstreamBadReply:
        return


@requires("recordings")
def test_recorded_usage(recordings: Path) -> None:
    """Of every recorded reply the parts add up to the total that Google states."""
    seen = 0
    for item in recorded_answers(recordings, *GEMINI_SHAPED, is_stream=False):
        reply = json.loads(item.body)
        usage, counted = read(reply).usage, reply["usageMetadata"]
        assert usage.reasoning_output_tokens == counted.get("thoughtsTokenCount"), item.name
        if "totalTokenCount" in counted:
            assert (usage.input_tokens or 0) + (usage.output_tokens or 0) == counted["totalTokenCount"]
            seen += 1
    assert seen > 40
